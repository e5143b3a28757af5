import { z } from 'zod'
import { type SinkSettings, sinkSettingsSchema } from './sink-settings.ts'

/**
 * All that a worker process is told when it starts. Everything else (range, gateway options) comes by ASSIGN_SHARDS,
 * so that it can change without a restart.
 */
export interface WorkerSettings {
  /** The pod's ordinal. */
  readonly workerId: number
  readonly host: string
  /** 0 takes a free port; the worker says which in one line of JSON on standard output: `{"listening": 40123}`. */
  readonly port: number
  /** Shards are spread over this many worker threads. */
  readonly threads: number
  /** Holds the bot token. Read again for each IDENTIFY, so that a rotated token needs no restart. */
  readonly tokenFile: string
  /** Holds the key that the manager must present. */
  readonly authorizationFile: string
  /** What it serves TLS with, beside plain HTTP on the same port; read again for new connections. Omitted: no TLS. */
  readonly tls?: TlsFiles
  readonly sinks: readonly SinkSettings[]
  /** Hosts of gateways it may connect to, see `spec.gateway.hosts`; undefined: Discord's. */
  readonly gatewayHosts?: readonly string[]
  readonly logLevel: string
  /** Survives a restart of the container; sessions are kept in it. */
  readonly stateDirectory?: string
  /** How long the process may take to end after SIGTERM: the pod's terminationGracePeriodSeconds. */
  readonly graceSeconds: number
}

/** PEM files that may change while the process runs. */
export interface TlsFiles {
  readonly certificateFile: string
  readonly keyFile: string
}

const json = <T extends z.ZodType>(schema: T) =>
  z.string().transform((text, context): z.infer<T> => {
    try {
      return schema.parse(JSON.parse(text))
    } catch (cause) {
      const why = cause instanceof z.ZodError ? z.prettifyError(cause) : 'it is not JSON'
      context.addIssue({ code: 'custom', message: why })
      return z.NEVER
    }
  })

const environmentSchema = z.object({
  SHARDCLUSTER_WORKER_ID: z.string().optional(),
  /** The downward API's `metadata.name`: the ordinal is its last number. */
  POD_NAME: z.string().optional(),
  SHARDCLUSTER_HOST: z.string().default('0.0.0.0'),
  SHARDCLUSTER_PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  SHARDCLUSTER_THREADS: z.coerce.number().int().min(1).max(64).default(1),
  SHARDCLUSTER_TOKEN_FILE: z.string().min(1),
  SHARDCLUSTER_AUTHORIZATION_FILE: z.string().min(1),
  SHARDCLUSTER_TLS_CERTIFICATE_FILE: z.string().min(1).optional(),
  SHARDCLUSTER_TLS_KEY_FILE: z.string().min(1).optional(),
  SHARDCLUSTER_EVENTS: json(z.array(sinkSettingsSchema).min(1)),
  SHARDCLUSTER_GATEWAY_HOSTS: json(z.array(z.string().min(1).max(261)).min(1).max(16)).optional(),
  SHARDCLUSTER_LOG_LEVEL: z.string().default('info'),
  SHARDCLUSTER_STATE_DIRECTORY: z.string().optional(),
  SHARDCLUSTER_GRACE_SECONDS: z.coerce.number().min(0).default(30),
})

/**
 * How the C library and V8 shall run a worker; 500 idle shards over TLS in MB of RSS, measured on Node 24:
 * - one malloc arena, because several keep what the start of hundreds of TLS connections needed;
 * - blocks of 32 KB and more are given back one by one: Node reads each TLS connection into 64 KB of its own and fills
 *   6 KB of them, but on a heap they come to lie on pages that others had filled before (157 -> 147 MB);
 * - a young generation of 1 MB a thread instead of 16: events make no garbage, so it is collected hardly more often,
 *   and an event costs the same (171 -> 157 MB);
 * - one thread that helps V8 instead of four: while they marked a heap side by side, the thread of the shards got a
 *   quarter of its time on a machine of two cores, and events waited for 10 to 60 ms.
 */
export const WORKER_RUNTIME = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '32768',
  NODE_OPTIONS: '--max-semi-space-size=1 --v8-pool-size=1',
} as const

/** Writes settings as a worker reads them. The ordinal is left out where the pod's name tells it. */
export function workerEnvironment(
  settings: Omit<WorkerSettings, 'workerId'> & { workerId?: number },
): Record<string, string> {
  return {
    ...(settings.workerId !== undefined && { SHARDCLUSTER_WORKER_ID: String(settings.workerId) }),
    SHARDCLUSTER_HOST: settings.host,
    SHARDCLUSTER_PORT: String(settings.port),
    SHARDCLUSTER_THREADS: String(settings.threads),
    SHARDCLUSTER_TOKEN_FILE: settings.tokenFile,
    SHARDCLUSTER_AUTHORIZATION_FILE: settings.authorizationFile,
    ...(settings.tls && {
      SHARDCLUSTER_TLS_CERTIFICATE_FILE: settings.tls.certificateFile,
      SHARDCLUSTER_TLS_KEY_FILE: settings.tls.keyFile,
    }),
    SHARDCLUSTER_EVENTS: JSON.stringify(settings.sinks),
    ...(settings.gatewayHosts && { SHARDCLUSTER_GATEWAY_HOSTS: JSON.stringify(settings.gatewayHosts) }),
    SHARDCLUSTER_LOG_LEVEL: settings.logLevel,
    SHARDCLUSTER_GRACE_SECONDS: String(settings.graceSeconds),
    ...(settings.stateDirectory !== undefined && { SHARDCLUSTER_STATE_DIRECTORY: settings.stateDirectory }),
  }
}

/** @throws Error that names the variable which is missing or wrong. */
export function parseWorkerEnvironment(environment: Record<string, string | undefined>): WorkerSettings {
  const parsed = environmentSchema.safeParse(environment)
  if (!parsed.success) throw new Error(`the sharder's environment is incomplete:\n${z.prettifyError(parsed.error)}`)
  const e = parsed.data
  return {
    workerId: ordinalOf(e.SHARDCLUSTER_WORKER_ID ?? e.POD_NAME),
    host: e.SHARDCLUSTER_HOST,
    port: e.SHARDCLUSTER_PORT,
    threads: e.SHARDCLUSTER_THREADS,
    tokenFile: e.SHARDCLUSTER_TOKEN_FILE,
    authorizationFile: e.SHARDCLUSTER_AUTHORIZATION_FILE,
    ...tlsOf(e),
    sinks: e.SHARDCLUSTER_EVENTS,
    ...(e.SHARDCLUSTER_GATEWAY_HOSTS && { gatewayHosts: e.SHARDCLUSTER_GATEWAY_HOSTS }),
    logLevel: e.SHARDCLUSTER_LOG_LEVEL,
    graceSeconds: e.SHARDCLUSTER_GRACE_SECONDS,
    ...(e.SHARDCLUSTER_STATE_DIRECTORY !== undefined && { stateDirectory: e.SHARDCLUSTER_STATE_DIRECTORY }),
  }
}

/** One without the other is a mistake, and no reason to do without TLS. */
function tlsOf({
  SHARDCLUSTER_TLS_CERTIFICATE_FILE: certificateFile,
  SHARDCLUSTER_TLS_KEY_FILE: keyFile,
}: z.output<typeof environmentSchema>): { readonly tls?: TlsFiles } {
  if (certificateFile === undefined && keyFile === undefined) return {}
  if (certificateFile !== undefined && keyFile !== undefined) return { tls: { certificateFile, keyFile } }
  throw new Error(
    'the sharder serves TLS with a certificate and its key: set both SHARDCLUSTER_TLS_CERTIFICATE_FILE and SHARDCLUSTER_TLS_KEY_FILE',
  )
}

/** StatefulSet pods are named `<set>-<ordinal>`. */
function ordinalOf(name: string | undefined): number {
  const digits = name?.match(/(\d+)$/)?.[1]
  if (digits === undefined)
    throw new Error(
      'the worker does not know its ordinal: set SHARDCLUSTER_WORKER_ID, or POD_NAME to a name that ends in it',
    )
  return Number(digits)
}
