import { gunzipSync } from 'node:zlib'
import type { Cluster } from '../support/cluster/cluster.ts'
import type { NodeShell } from '../support/cluster/node-shell.ts'

interface Secret {
  readonly metadata: { readonly name: string }
  readonly type: string
  readonly data?: Readonly<Record<string, string>>
}

/** What must be found nowhere: tokens, keys and session ids, by where they are kept. */
interface Hidden {
  readonly of: string
  readonly value: string
}

/** Everything that is no Secret and that a person with `view`, or a shell on a node, can read. */
const OBJECTS = 'shardclusters,statefulsets,deployments,pods,events,configmaps,services,leases'

/**
 * Looks for every secret of a namespace where none belongs: objects with their status, events, the logs of all
 * containers and of those before, and the command lines of all processes on all nodes.
 *
 * @returns a line for each that was found. It does not repeat the secret.
 */
export async function disclosures(cluster: Cluster, namespace: string, nodes: NodeShell): Promise<string[]> {
  const kubectl = (...args: string[]) => cluster.kubectl(['--namespace', namespace, ...args], { timeoutMs: 60_000 })
  const hidden = hiddenOf(JSON.parse(await kubectl('get', 'secrets', '--output', 'json')).items)
  if (hidden.length === 0) throw new Error(`${namespace} has no secret that could be looked for`)
  const commandLines = await nodes.commandLines()
  if (!commandLines.includes('sharder')) throw new Error('the shells on the nodes see no sharder')
  const places = new Map<string, string>([
    ['objects', await kubectl('get', OBJECTS, '--output', 'yaml')],
    ['command lines', commandLines],
  ])
  for (const pod of (await kubectl('get', 'pods', '--output', 'name')).split('\n').filter(Boolean)) {
    // A pod that was on its way out may be gone since.
    const gone = (error: Error) => (/\(NotFound\)/.test(error.message) ? '' : Promise.reject(error))
    places.set(`log of ${pod}`, await kubectl('logs', '--all-containers', pod).catch(gone))
    // Most have no container before.
    places.set(`log of ${pod} before`, await kubectl('logs', '--all-containers', '--previous', pod).catch(() => ''))
  }
  const found = ({ of, value }: Hidden) =>
    [...places].flatMap(([at, text]) => (text.includes(value) ? `${of} in ${at}` : []))
  return hidden.flatMap(found)
}

function hiddenOf(secrets: readonly Secret[]): Hidden[] {
  return secrets
    .filter(({ type }) => type === 'Opaque' || type === 'kubernetes.io/tls')
    .flatMap(({ metadata: { name }, data = {} }) =>
      Object.entries(data).flatMap(([key, base64]) => {
        const bytes = Buffer.from(base64, 'base64')
        const of = `${name}/${key}`
        return key.endsWith('.json.gz')
          ? sessionIds(gunzipSync(bytes).toString()).map((value) => ({ of, value }))
          : linesOf(key, bytes.toString()).map((value) => ({ of, value }))
      }),
    )
    .filter(({ value }) => value.length >= 8)
}

/** Each line by itself: a library that cannot use the whole may show a part. Certificates are no secret. */
const linesOf = (key: string, text: string): string[] =>
  key.endsWith('.crt') ? [] : text.split('\n').filter((line) => !line.startsWith('-----'))

/** With one of them and the token, anybody takes over a session. */
const sessionIds = (saved: string): string[] => [...saved.matchAll(/"sessionId":"([^"]+)"/g)].map(([, id]) => id ?? '')
