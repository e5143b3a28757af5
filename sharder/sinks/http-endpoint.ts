import { readFile } from 'node:fs/promises'
import type { Pool as UndiciPool } from 'undici'
import type { HttpSettings } from '../../src/protocol/sink-settings.ts'
import type { Clock } from '../../src/support/clock.ts'
import { type PostResult, post } from './http-post.ts'
import { SecretFile } from './secret-file.ts'
import { Pool } from './undici-pool.ts'

export interface HttpEndpointOptions {
  readonly settings: HttpSettings
  readonly clock: Clock
  readonly contentType: string
  /** The most requests at a time. */
  readonly connections: number
  readonly timeoutMs: number | undefined
}

const REQUEST_TIMEOUT_MS = 30_000

/** The bot's URL, with the connections to it and the key it wants. */
export class HttpEndpoint {
  readonly #options: HttpEndpointOptions
  readonly #url: URL
  readonly #authorization: SecretFile | undefined
  #pool: Promise<UndiciPool> | undefined

  constructor(options: HttpEndpointOptions) {
    const { settings, clock } = options
    this.#options = options
    this.#url = new URL(settings.url)
    const { authorizationFile: file } = settings
    this.#authorization = file === undefined ? undefined : new SecretFile(file, clock)
  }

  /** Sends one request. Every outcome is a value. */
  async post(body: Buffer): Promise<PostResult> {
    const { contentType, timeoutMs = REQUEST_TIMEOUT_MS } = this.#options
    const { pathname, search } = this.#url
    let pool: UndiciPool
    let authorization: string | undefined
    try {
      this.#pool ??= this.#open()
      pool = await this.#pool
      authorization = await this.#authorization?.text()
    } catch (error) {
      return { kind: 'unauthorized', message: (error as Error).message }
    }
    const result = await post(body, { pool, path: pathname + search, contentType, authorization, timeoutMs })
    if (result.kind === 'unauthorized') this.#authorization?.refused()
    return result
  }

  async close(): Promise<void> {
    await (await this.#pool?.catch(() => undefined))?.destroy()
  }

  async #open(): Promise<UndiciPool> {
    const { settings, connections } = this.#options
    const { caFile } = settings.tls ?? {}
    try {
      const ca = caFile === undefined ? undefined : await readFile(caFile, 'utf8')
      // Node's HTTP/2 never ends when a body is given up that is not sent yet: see Protocol in operator/kube/connection.ts.
      const limits = { connections, pipelining: 1, allowH2: false }
      return new Pool(this.#url.origin, { ...limits, connect: { timeout: 5_000, ...(ca && { ca }) } })
    } catch (cause) {
      this.#pool = undefined
      throw new Error(`cannot read ${caFile}; mount the Secret with the CA certificates there`, { cause })
    }
  }
}
