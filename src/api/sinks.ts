import { z } from 'zod'
import { dnsLabel, httpUrl, secretKeyRef, validations } from './kubernetes.ts'

/** Names of events as Discord writes them in `t`: https://discord.com/developers/docs/events/gateway-events */
const eventTypes = z.array(
  z
    .string()
    .max(64)
    .regex(/^[A-Z][A-Z0-9_]*$/, 'must be the name of an event, such as MESSAGE_CREATE'),
)

const PLACEHOLDERS = '\\{(?:type|shard|partition)\\}'
const placeholders = '{type}, {shard} and {partition} are filled in for each event.'

/** A pattern for names with placeholders; `characters` is what else may be in them, as a class of a regular expression. */
const template = (characters: string, separator = '') => {
  const word = `(?:${characters}|${PLACEHOLDERS})+`
  return z
    .string()
    .max(200)
    .regex(
      new RegExp(separator === '' ? `^${word}$` : `^${word}(?:${separator}${word})*$`),
      'has a character or a placeholder that is not allowed; the placeholders are {type}, {shard} and {partition}',
    )
}

/** URLs without user and password: those come from Secrets. */
const brokerUrl = (schemes: string) =>
  z
    .string()
    .max(2048)
    .regex(
      new RegExp(`^(?:${schemes})://[^\\s@/?#]+(?:/[^\\s@?#]*)?$`),
      `must be a URL of ${schemes.replaceAll('|', ', ')}, without user and password: put those into a Secret`,
    )

const tls = (when: string) =>
  z
    .strictObject({
      caSecretRef: secretKeyRef(
        'ca.crt',
        "Certificates (PEM) of the authorities that may have signed the server's. Omitted: the well-known ones.",
      ).optional(),
    })
    .optional()
    .describe(`How the server's certificate is checked. ${when}`)

const ALWAYS = 'Given, the connection is always encrypted.'

const partitions = z
  .int()
  .min(1)
  .max(1_024)
  .default(16)
  .describe(
    "Number of partitions: {partition} is (guild id >> 22) % partitions, Discord's own formula for shards; of an event without a guild it is shard id % partitions.",
  )

const usernameSecretRef = secretKeyRef('username', 'User name at the server.').optional()
const passwordSecretRef = (about: string) => secretKeyRef('password', about).optional()

const http = z
  .strictObject({
    url: httpUrl.describe('Where events are POSTed.'),
    format: z
      .enum(['Batch', 'Event'])
      .default('Batch')
      .describe(
        "Batch: newline-delimited JSON, many events a request. Event: one event a request as JSON, {workerId, shardId, payload}, as discordeno's bots take it.",
      ),
    authorizationSecretRef: secretKeyRef(
      'events-authorization',
      'Key sent in the authorization header of each request.',
    ).optional(),
    tls: tls('Only for https:// URLs.'),
  })
  .describe('Events as HTTP POST; what was posted is delivered when the answer is 2xx.')

const nats = z
  .strictObject({
    servers: z
      .array(brokerUrl('nats|tls'))
      .min(1)
      .max(16)
      .describe('URLs of servers of one NATS cluster, such as nats://nats:4222; tls:// insists on encryption.'),
    subject: template('[A-Za-z0-9_-]', '\\.')
      .default('discord.{type}.{shard}')
      .describe(`Subject of each event. ${placeholders}`),
    partitions,
    stream: z
      .string()
      .max(128)
      .regex(/^[^\s.*>/\\]+$/, 'must be the name of a stream')
      .optional()
      .describe('The stream that must take the events. Omitted: whichever has the subject.'),
    usernameSecretRef,
    passwordSecretRef: passwordSecretRef('Password at the server; without a user name it is a token.'),
    credentialsSecretRef: secretKeyRef('nats.creds', 'A NATS credentials file (JWT and seed).').optional(),
    tls: tls(ALWAYS),
  })
  .describe('Events as messages of NATS JetStream; one is delivered when a stream has acknowledged it.')

const redis = z
  .strictObject({
    url: brokerUrl('redis|rediss').describe(
      'URL of the server, such as redis://redis:6379/0; rediss:// insists on encryption.',
    ),
    stream: template('[^{}\\s]').default('discord').describe(`Key of the stream of each event. ${placeholders}`),
    partitions,
    maxLength: z
      .int()
      .min(1)
      .max(1_000_000_000)
      .optional()
      .describe(
        'Each stream is trimmed to about so many entries (MAXLEN ~), read or not. Omitted: nothing is trimmed.',
      ),
    maxAgeSeconds: z
      .int()
      .min(1)
      .max(31_536_000)
      .optional()
      .describe(
        'Entries older than about this are trimmed (MINID ~), read or not. Omitted: nothing is. Not beside maxLength.',
      ),
    usernameSecretRef,
    passwordSecretRef: passwordSecretRef('Password at the server.'),
    tls: tls(ALWAYS),
  })
  .refine(({ maxLength, maxAgeSeconds }) => maxLength === undefined || maxAgeSeconds === undefined, {
    message: 'give maxLength or maxAgeSeconds, not both',
  })
  .meta(
    validations({
      rule: '!has(self.maxLength) || !has(self.maxAgeSeconds)',
      message: 'give maxLength or maxAgeSeconds, not both',
    }),
  )
  .describe('Events as entries of Redis Streams; one is delivered when the server has answered.')

const rabbitmq = z
  .strictObject({
    url: brokerUrl('amqp|amqps').describe(
      'URL of the server, such as amqp://rabbitmq:5672, with the virtual host as path; amqps:// insists on encryption.',
    ),
    exchange: z
      .string()
      .min(1)
      .max(127)
      .default('discord')
      .describe('The exchange, best a durable one of type topic. It must exist.'),
    routingKey: template('[^{}\\s]').default('{type}.{shard}').describe(`Routing key of each event. ${placeholders}`),
    partitions,
    unroutable: z
      .enum(['Keep', 'Drop'])
      .default('Keep')
      .describe(
        'An event that no queue is bound for. Keep: it is tried again until one is. Drop: the exchange forgets it.',
      ),
    usernameSecretRef,
    passwordSecretRef: passwordSecretRef('Password at the server.'),
    tls: tls(ALWAYS),
  })
  .describe('Events as persistent messages of RabbitMQ; one is delivered when the server has confirmed it.')

export const SINK_KINDS = ['http', 'nats', 'redis', 'rabbitmq'] as const

const EXACTLY_ONE = `each sink has exactly one of ${SINK_KINDS.join(', ')}`
const NOT_BOTH = 'a sink has include or exclude, not both'

/** One entry of `spec.events`. */
export const sinkSchema = z
  .strictObject({
    name: dnsLabel.describe('Name of this sink in conditions and metrics.'),
    include: eventTypes.min(1).max(128).optional().describe('Types of the events that go here. Omitted: all.'),
    exclude: eventTypes.min(1).max(128).optional().describe('Types of the events that do not go here.'),
    http: http.optional(),
    nats: nats.optional(),
    redis: redis.optional(),
    rabbitmq: rabbitmq.optional(),
  })
  // The two rules again for whoever reads a manifest without an API server.
  .refine((sink) => SINK_KINDS.filter((kind) => sink[kind] !== undefined).length === 1, { message: EXACTLY_ONE })
  .refine(({ include, exclude }) => include === undefined || exclude === undefined, { message: NOT_BOTH })
  .meta(
    validations(
      {
        rule: `[${SINK_KINDS.map((kind) => `has(self.${kind})`).join(', ')}].exists_one(given, given)`,
        message: EXACTLY_ONE,
      },
      { rule: '!has(self.include) || !has(self.exclude)', message: NOT_BOTH },
    ),
  )
  .describe('Where events go.')

export type SinkSpec = z.infer<typeof sinkSchema>
