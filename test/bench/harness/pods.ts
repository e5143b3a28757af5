import { Child } from './child.ts'

const FILE = new URL('../children/pods.ts', import.meta.url)

export interface PodsOptions {
  /** Of somebody who may do what a kubelet and the StatefulSet controller do. */
  readonly kubeconfig: string
  readonly discordUrl: string
  /** A REST proxy is started for each. */
  readonly tokens: readonly string[]
  /** What the REST proxies want in the authorization header. */
  readonly authorization: string
}

/** The pods of a cluster and the REST proxies of its bots, in one process that is not the operator's. */
export class PodsProcess {
  /** In the order of the tokens. */
  readonly proxies: readonly string[]
  /** One that takes every request and answers none. */
  readonly hangingProxy: string
  readonly #child: Child

  private constructor(child: Child) {
    this.#child = child
    const { proxies, hangingProxy } = child.said as { proxies: string[]; hangingProxy: string }
    this.proxies = proxies
    this.hangingProxy = hangingProxy
  }

  static async start(options: PodsOptions): Promise<PodsProcess> {
    return new PodsProcess(await Child.start(FILE, { args: [JSON.stringify(options)] }))
  }

  stop(): Promise<void> {
    return this.#child.stop()
  }
}
