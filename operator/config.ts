import { z } from 'zod'

const list = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  )

const schema = z.object({
  /** Namespace of the operator itself, where its Lease lives. */
  SHARDCLUSTER_NAMESPACE: z.string().min(1).default('default'),
  POD_NAME: z.string().min(1).default('operator'),
  /** Comma-separated; empty: all namespaces. */
  SHARDCLUSTER_WATCH_NAMESPACES: list,
  /** Image of the workers whose ShardCluster names none. */
  SHARDCLUSTER_WORKER_IMAGE: z.string().min(1),
  SHARDCLUSTER_WORKER_IMAGE_PULL_POLICY: z.enum(['Always', 'IfNotPresent', 'Never']).optional(),
  SHARDCLUSTER_HTTP_PORT: z.coerce.number().int().min(0).max(65_535).default(8081),
  /** Of the API for bots. */
  SHARDCLUSTER_API_PORT: z.coerce.number().int().min(0).max(65_535).default(8083),
  SHARDCLUSTER_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  SHARDCLUSTER_LEASE_NAME: z.string().min(1).default('shardcluster-operator'),
})

/** The operator's own settings. */
export interface OperatorConfig {
  readonly namespace: string
  readonly podName: string
  readonly watchNamespaces: readonly string[]
  readonly workerImage: string
  readonly workerImagePullPolicy: string | undefined
  readonly httpPort: number
  readonly apiPort: number
  readonly logLevel: string
  readonly leaseName: string
}

/** @throws Error that names the variable which is missing or wrong. */
export function parseConfig(environment: Record<string, string | undefined>): OperatorConfig {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''))
  const parsed = schema.safeParse(given)
  if (!parsed.success) throw new Error(`the operator's environment is incomplete:\n${z.prettifyError(parsed.error)}`)
  const e = parsed.data
  return {
    namespace: e.SHARDCLUSTER_NAMESPACE,
    podName: e.POD_NAME,
    watchNamespaces: e.SHARDCLUSTER_WATCH_NAMESPACES,
    workerImage: e.SHARDCLUSTER_WORKER_IMAGE,
    workerImagePullPolicy: e.SHARDCLUSTER_WORKER_IMAGE_PULL_POLICY,
    httpPort: e.SHARDCLUSTER_HTTP_PORT,
    apiPort: e.SHARDCLUSTER_API_PORT,
    logLevel: e.SHARDCLUSTER_LOG_LEVEL,
    leaseName: e.SHARDCLUSTER_LEASE_NAME,
  }
}
