import { type Document, isMap, isPair, LineCounter, type Node, parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { API_VERSION, KIND, type ShardCluster, shardClusterSchema } from '../api/shard-cluster.ts'
import { formOf, formProblem } from '../domain/secret-form.ts'
import { shardCountProblem } from '../domain/shard-count.ts'

/** The manifest cannot be used. The message names the file, the line, what is wrong and what to do. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError'
}

/** What `kubectl apply -f FILE` would be given. */
export interface Manifest {
  readonly clusters: readonly ShardCluster[]
  /** Name of the Secret -> key -> value. */
  readonly secrets: ReadonlyMap<string, ReadonlyMap<string, string>>
}

const secretSchema = z.object({
  apiVersion: z.literal('v1'),
  kind: z.literal('Secret'),
  metadata: z.looseObject({ name: z.string().min(1) }),
  stringData: z.record(z.string(), z.string()).default({}),
  data: z.record(z.string(), z.base64()).default({}),
})

/** Reads YAML documents of kind ShardCluster, and the Secrets they refer to. `file` is for messages only. */
export function parseManifest(text: string, file: string): Manifest {
  const lines = new LineCounter()
  const clusters: ShardCluster[] = []
  const secrets = new Map<string, Map<string, string>>()
  for (const document of parseAllDocuments(text, { lineCounter: lines })) {
    const [broken] = document.errors
    if (broken)
      throw new ManifestError(
        `${file}:${lines.linePos(broken.pos[0]).line}: this is not YAML: ${broken.message.split('\n')[0]}`,
      )
    const json = contentOf(document, file)
    if (json === null || json === undefined) continue
    const at = (path: readonly PropertyKey[]) => `${file}:${lineOf(document, path, lines)}`
    const { apiVersion, kind } = json as { apiVersion?: unknown; kind?: unknown }
    if (apiVersion === API_VERSION && kind === KIND) clusters.push(clusterOf(json, at))
    else if (apiVersion === 'v1' && kind === 'Secret') {
      const { metadata, stringData, data } = check(secretSchema, json, at)
      const decoded = Object.entries(data).map(
        ([key, value]) => [key, Buffer.from(value, 'base64').toString()] as const,
      )
      secrets.set(metadata.name, new Map([...decoded, ...Object.entries(stringData)]))
    } else
      throw new ManifestError(
        `${at([])}: a document of kind ${String(kind)} (${String(apiVersion)}) means nothing here: only ${KIND} (${API_VERSION}) and Secret (v1) do`,
      )
  }
  if (clusters.length === 0) throw new ManifestError(`${file}: there is no ${KIND} (apiVersion: ${API_VERSION}) in it`)
  const twice = clusters.find(
    ({ metadata }, i) => clusters.findIndex((other) => other.metadata.name === metadata.name) !== i,
  )
  if (twice) throw new ManifestError(`${file}: there are two ${KIND}s named ${twice.metadata.name}`)
  return { clusters, secrets }
}

/** The value a reference points to. @throws ManifestError that says which Secret or key is missing or ill-formed. */
export function secretValue({ secrets }: Manifest, ref: { name: string; key: string }, field: string): string {
  const secret = secrets.get(ref.name)
  if (!secret)
    throw new ManifestError(
      `${field} names the Secret ${ref.name}, which is not in the file: add it as another document`,
    )
  const value = secret.get(ref.key)?.trim()
  if (!value)
    throw new ManifestError(
      `${field} names the key ${ref.key} of the Secret ${ref.name}, which it does not have: add it under stringData`,
    )
  const wrong = formProblem(value, formOf(field))
  if (wrong !== undefined)
    throw new ManifestError(`${field} names the key ${ref.key} of the Secret ${ref.name}, which ${wrong}: correct it`)
  return value
}

/** Aliases of aliases would multiply: the parser stops, and says so by an error of its own. */
function contentOf(document: Document, file: string): unknown {
  try {
    return document.toJS()
  } catch {
    throw new ManifestError(`${file}: an alias (*name) leads nowhere, or to far too many others: write it out`)
  }
}

function clusterOf(json: unknown, at: (path: readonly PropertyKey[]) => string): ShardCluster {
  const cluster = check(shardClusterSchema, json, at)
  const { totalShards, gateway } = cluster.spec
  // The two rules that the API server has in CEL.
  const problem =
    totalShards === undefined
      ? undefined
      : shardCountProblem(totalShards, { ...cluster.spec, shardMultiple: gateway.shardMultiple })
  if (problem) throw new ManifestError(`${at(['spec', 'totalShards'])}: spec.totalShards: ${problem.message}`)
  return cluster
}

function check<T>(schema: z.ZodType<T>, json: unknown, at: (path: readonly PropertyKey[]) => string): T {
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  const found = parsed.error.issues.map(
    (issue) => `${at(issue.path)}: ${issue.path.join('.') || 'the document'}: ${issue.message}`,
  )
  throw new ManifestError(found.join('\n'))
}

/** The line of the deepest part of `path` that is in the document, 1-based. */
function lineOf(document: Document, path: readonly PropertyKey[], lines: LineCounter): number {
  let node: unknown = document.contents
  let offset = (node as Node | null)?.range?.[0] ?? 0
  for (const key of path) {
    if (isMap(node)) {
      const pair = node.items.find(
        (item) => isPair(item) && String((item.key as { value?: unknown } | null)?.value ?? item.key) === String(key),
      )
      if (!pair) break
      offset = (pair.key as Node | null)?.range?.[0] ?? offset
      node = pair.value
    } else {
      node = (node as { items?: unknown[] } | null)?.items?.[Number(key)]
      offset = (node as Node | undefined)?.range?.[0] ?? offset
    }
  }
  return lines.linePos(offset).line
}
