import type { Cluster } from './cluster.ts'

/**
 * Sees and ends the processes of containers from outside. From inside, no crash can be played: the first process of a
 * PID namespace is deaf to SIGKILL from its own. A pod that shares its node's namespace sees it as one process of many,
 * and finds it by the container's id in its cgroup. That needs nothing but Kubernetes, so it works on every cluster.
 */
export class NodeShell {
  readonly #cluster: Cluster
  readonly #namespace: string
  readonly #image: string
  #nodes: readonly string[] = []

  constructor(cluster: Cluster, namespace: string, image: string) {
    this.#cluster = cluster
    this.#namespace = namespace
    this.#image = image
  }

  /** Starts the pods, one on each node that takes pods, and waits for them. */
  async start(): Promise<void> {
    const template = '{range .items[*]}{.metadata.name} {.spec.taints[*].effect}{"\\n"}{end}'
    const listed = await this.#cluster.kubectl(['get', 'nodes', '--output', `jsonpath=${template}`])
    const nodes = listed.split('\n').flatMap((line) => (/^(\S+) $/.test(line) ? line.trim() : []))
    this.#nodes = nodes
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: nodes.map((node) => this.#pod(node)) })
    await this.#cluster.kubectl(['apply', '--filename', '-'], { input: list })
    const names = nodes.map((node) => `pod/${podName(node)}`)
    const ready = ['wait', '--namespace', this.#namespace, '--for=condition=Ready', '--timeout=120s', ...names]
    await this.#cluster.kubectl(ready, { timeoutMs: 130_000 })
  }

  /** `kill -9` of the first process of container `id` on `node`. @throws CommandFailed when there is none. */
  async kill(node: string, id: string): Promise<void> {
    await this.#eval(
      node,
      `
      const { readdirSync, readFileSync } = require('node:fs')
      const cgroup = (pid) => { try { return readFileSync('/proc/' + pid + '/cgroup', 'utf8') } catch { return '' } }
      const pids = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name) && cgroup(name).includes('${id}'))
      const first = Math.min(...pids.map(Number))
      if (!Number.isFinite(first)) throw new Error('no process of ${id}')
      process.kill(first, 'SIGKILL')`,
    )
  }

  /** The command lines of every process on every node, as whoever has a shell there sees them. */
  async commandLines(): Promise<string> {
    const script = `
      const { readdirSync, readFileSync } = require('node:fs')
      const line = (pid) => { try { return readFileSync('/proc/' + pid + '/cmdline', 'utf8') } catch { return '' } }
      const pids = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))
      process.stdout.write(pids.map((pid) => line(pid).replaceAll('\\0', ' ')).join('\\n'))`
    return (await Promise.all(this.#nodes.map((node) => this.#eval(node, script)))).join('\n')
  }

  #eval(node: string, script: string): Promise<string> {
    const args = ['exec', '--namespace', this.#namespace, podName(node), '--', 'node', '--eval', script]
    return this.#cluster.kubectl(args)
  }

  #pod(node: string): object {
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: podName(node), namespace: this.#namespace },
      spec: {
        nodeName: node,
        hostPID: true,
        restartPolicy: 'Never',
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: 'shell',
            image: this.#image,
            imagePullPolicy: 'IfNotPresent',
            command: ['node', '--eval', 'setInterval(() => {}, 60_000)'],
            securityContext: { runAsUser: 0, runAsNonRoot: false, privileged: true },
          },
        ],
      },
    }
  }
}

const podName = (node: string): string => `node-shell-${node}`.slice(0, 63)
