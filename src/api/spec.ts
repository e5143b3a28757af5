import { z } from 'zod'
import { MAX_SHARDS } from '../limits.ts'
import { gatewayHosts } from './gateway-hosts.ts'
import { INTENT_NAMES, MAX_INTENTS } from './intents.ts'
import {
  httpBaseUrl,
  INT_OR_STRING,
  PRESERVE_UNKNOWN,
  podPart,
  resourceRequirements,
  secretKeyRef,
  validations,
} from './kubernetes.ts'
import { sinkSchema } from './sinks.ts'

export const MAX_WORKERS = 1_000

const rest = z
  .strictObject({
    baseUrl: httpBaseUrl.describe(
      'Base URL of the REST proxy that all requests to Discord go through, without /v10 and without a slash at the end. Requests go to <baseUrl>/v10/...',
    ),
    authorizationSecretRef: secretKeyRef(
      'rest-authorization',
      'Key that the REST proxy wants in the authorization header. Omitted: "Bot <token>" is sent, as nirn-proxy and twilight http-proxy want it.',
    ).optional(),
    timeoutSeconds: z.int().min(1).max(120).default(10).describe('How long an answer of the REST proxy is waited for.'),
  })
  .describe('The REST proxy in front of Discord.')

const gateway = z
  .strictObject({
    intents: z
      .array(
        z
          .union([z.enum(INTENT_NAMES), z.int().min(0).max(MAX_INTENTS)])
          .meta({ ...INT_OR_STRING })
          .describe('The name of an intent, or a bit field.'),
      )
      .min(1)
      .max(32)
      .meta(
        validations({
          rule: `self.all(i, type(i) == int ? i >= 0 && i <= ${MAX_INTENTS} : i in [${INTENT_NAMES.map((n) => `'${n}'`).join(', ')}])`,
          message: `each intent must be a bit field or one of ${INTENT_NAMES.join(', ')}`,
        }),
      )
      .describe(
        'Gateway intents: names, bit fields, or both; they are combined. A change applies to each shard with its next IDENTIFY.',
      ),
    version: z.int().min(9).max(10).default(10).describe('Version of the gateway protocol.'),
    compression: z
      .enum(['None', 'ZlibStream', 'ZstdStream'])
      .default('None')
      .describe(
        'Transport compression. None costs the least CPU and memory. ZlibStream saves about nine tenths of the traffic. ZstdStream saves as much for half the CPU, but takes 430 KB of memory a shard instead of 40.',
      ),
    hosts: gatewayHosts,
    presence: z
      .record(z.string(), z.unknown())
      .meta({ ...PRESERVE_UNKNOWN })
      .optional()
      .describe("Presence sent with IDENTIFY, in the gateway's own form: {status, activities, since, afk}."),
    shardMultiple: z
      .int()
      .min(1)
      .max(MAX_SHARDS)
      .optional()
      .describe(
        'Discord assigns bots above 150,000 guilds a number (usually 16) that totalShards must be a multiple of; otherwise every IDENTIFY is answered by close 4010. Checked before the first IDENTIFY.',
      ),
  })
  .describe('How shards connect to the gateway.')

const identify = z
  .strictObject({
    reserve: z
      .int()
      .min(0)
      .max(100_000)
      .default(100)
      .describe(
        'IDENTIFYs of the daily budget that are never spent: at zero Discord resets the token and closes every session.',
      ),
    order: z
      .enum(['Spread', 'Strict'])
      .default('Spread')
      .describe(
        'Spread: each wave is spread over all workers. Strict: shards start in the order of their ids, wave by wave.',
      ),
    windowMilliseconds: z
      .int()
      .min(50)
      .max(60_000)
      .default(5_000)
      .describe(
        "Time in which a bucket takes one IDENTIFY. Discord's is 5000; another value is only for a simulated Discord.",
      ),
  })
  .describe('How IDENTIFYs are spent.')

const sessions = z
  .strictObject({
    saveIntervalSeconds: z
      .int()
      .min(0)
      .max(86_400)
      .default(60)
      .describe(
        'How often the sequences of all sessions are written to Secrets, for the case that a worker and the operator are lost at once: that much is sent again then. 0: only new sessions are written, and all when a worker or the operator ends; in a steady state nothing is.',
      ),
  })
  .describe('Where sessions are kept so that they outlive everything.')

const api = z
  .strictObject({
    authorizationSecretRef: secretKeyRef(
      'api-authorization',
      'Key that the bot sends as "authorization: Bearer <key>". A new one counts within 10 s.',
    ),
  })
  .describe(
    "The HTTP API through which the bot sends payloads on its shards and asks how they are. Omitted: it refuses this ShardCluster's bot.",
  )

const worker = z
  .strictObject({
    image: z
      .string()
      .min(1)
      .max(512)
      .optional()
      .describe("Image of the workers. Omitted: the operator's own, as `upgrade` says."),
    tls: z
      .boolean()
      .optional()
      .describe(
        "Whether the operator speaks TLS to the workers, with an authority of its own. Omitted: yes where workers run the operator's own image, no where `image` names another, which may be of a release that cannot.",
      ),
    upgrade: z
      .enum(['OnChange', 'WithOperator'])
      .default('OnChange')
      .describe(
        'When running workers take over what a newer operator would make of them (its own image, where none is given here, and its pod template). OnChange: with the next change of spec.worker, spec.events or spec.tokenSecretRef, so that an upgrade of the operator restarts no pod. WithOperator: at once, worker by worker.',
      ),
    imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).optional().describe('As in a pod.'),
    imagePullSecrets: z
      .array(z.strictObject({ name: z.string().min(1).max(253).describe('Name of a Secret.') }))
      .max(16)
      .optional()
      .describe('As in a pod.'),
    threads: z.int().min(1).max(64).default(1).describe('Threads that a worker spreads its shards over.'),
    logLevel: z
      .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal'])
      .default('info')
      .describe('What a worker logs.'),
    resources: resourceRequirements.optional(),
    nodeSelector: z.record(z.string(), z.string()).optional().describe('As in a pod.'),
    tolerations: z.array(podPart('A toleration, as in a pod.')).max(64).optional().describe('As in a pod.'),
    affinity: podPart('As in a pod.').optional(),
    topologySpreadConstraints: z.array(podPart('As in a pod.')).max(16).optional().describe('As in a pod.'),
    priorityClassName: z.string().max(253).optional().describe('As in a pod.'),
    podLabels: z.record(z.string(), z.string()).optional().describe('Labels added to the pods.'),
    podAnnotations: z.record(z.string(), z.string()).optional().describe('Annotations added to the pods.'),
    env: z
      .array(podPart('An environment variable, as in a pod.'))
      .max(128)
      .optional()
      .describe(
        "Environment variables added to the workers. One with the name of one of the operator's own takes its place; NODE_OPTIONS are added to the operator's own.",
      ),
    terminationGracePeriodSeconds: z
      .int()
      .min(5)
      .max(3_600)
      .default(60)
      .describe('Time a worker has to close its shards and hand its last events to the sinks.'),
  })
  .describe('The worker pods.')

/** `spec` of a ShardCluster: the only source of its types, defaults, limits and of the CRD. */
export const specSchema = z
  .strictObject({
    totalShards: z
      .int()
      .min(1)
      .max(MAX_SHARDS)
      .optional()
      .describe("Number of shards of the bot. Omitted: Discord's recommendation, asked once and kept."),
    totalWorkers: z
      .int()
      .min(1)
      .max(MAX_WORKERS)
      .default(1)
      .describe('Number of workers (pods). kubectl scale changes it.'),
    shardsPerWorker: z.int().min(1).max(5_000).default(500).describe('The most shards that one worker holds.'),
    tokenSecretRef: secretKeyRef('token', 'The bot token.'),
    rest,
    gateway,
    identify: identify.prefault({}),
    sessions: sessions.prefault({}),
    events: z
      .array(sinkSchema)
      .min(1)
      .max(8)
      .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] })
      .describe('Where events go. Each event goes to every sink.'),
    api: api.optional(),
    worker: worker.prefault({}),
  })
  .meta(
    validations(
      {
        rule: '!has(self.totalShards) || self.totalShards <= self.totalWorkers * self.shardsPerWorker',
        message:
          'totalShards do not fit on the workers: raise totalWorkers or shardsPerWorker until totalWorkers * shardsPerWorker is at least totalShards',
      },
      {
        rule: '!has(self.totalShards) || !has(self.gateway.shardMultiple) || self.totalShards % self.gateway.shardMultiple == 0',
        message:
          'totalShards must be a multiple of gateway.shardMultiple, or Discord answers every IDENTIFY with close 4010',
      },
    ),
  )
  .describe('What the ShardCluster shall be.')
