import { isIP } from 'node:net'
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

const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
/** Of the last label of a name: what begins with a digit there is taken for an IPv4 address by every URL parser. */
const LAST_LABEL = /^[a-z]/

/** `rest-proxy.bots`, `.svc`, `*.example.com`, an address, or a CIDR that is not everything. */
function isHostRule(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/')
  if (bits !== undefined) {
    const version = isIP(address)
    const most = version === 4 ? 32 : 128
    return version !== 0 && more.length === 0 && /^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= most
  }
  if (isIP(text) !== 0) return true
  const labels = text.replace(/^\*?\./, '').split('.')
  return text.length <= 253 && labels.every((label) => LABEL.test(label)) && LAST_LABEL.test(labels.at(-1) ?? '')
}

const hostRule = z
  .string()
  .refine(isHostRule, 'must be names, suffixes such as .svc or *.example.com, addresses or CIDRs, with commas between')

const schema = z.object({
  /** Namespace of the operator itself, where its Lease lives. */
  SHARDCLUSTER_NAMESPACE: z.string().min(1).default('default'),
  POD_NAME: z.string().min(1).default('operator'),
  /** Comma-separated; empty: all namespaces. */
  SHARDCLUSTER_WATCH_NAMESPACES: list,
  /** Comma-separated hosts that `spec.rest.baseUrl` may name; empty: every host but loopback and link-local ones. */
  SHARDCLUSTER_REST_HOSTS: list.transform((hosts) => hosts.map((host) => host.toLowerCase())).pipe(z.array(hostRule)),
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
  /**
   * Hosts that `spec.rest.baseUrl` may name, in lower case: a name, a suffix that begins with a dot, a name behind `*.`, an
   * address or a CIDR. Empty: every host but loopback and link-local ones.
   */
  readonly restHosts: readonly string[]
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
    restHosts: e.SHARDCLUSTER_REST_HOSTS,
    workerImage: e.SHARDCLUSTER_WORKER_IMAGE,
    workerImagePullPolicy: e.SHARDCLUSTER_WORKER_IMAGE_PULL_POLICY,
    httpPort: e.SHARDCLUSTER_HTTP_PORT,
    apiPort: e.SHARDCLUSTER_API_PORT,
    logLevel: e.SHARDCLUSTER_LOG_LEVEL,
    leaseName: e.SHARDCLUSTER_LEASE_NAME,
  }
}
