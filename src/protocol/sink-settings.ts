import { z } from 'zod'

const tls = z.object({ caFile: z.string().optional() }).optional()
const credentials = { usernameFile: z.string().optional(), passwordFile: z.string().optional() }
const partitions = z.int().min(1)

const http = z.object({
  url: z.url(),
  format: z.enum(['Batch', 'Event']).optional(),
  authorizationFile: z.string().optional(),
  tls,
})
const nats = z.object({
  servers: z.array(z.string()).min(1),
  subject: z.string().min(1),
  partitions,
  stream: z.string().optional(),
  ...credentials,
  credentialsFile: z.string().optional(),
  tls,
})
const redis = z.object({
  url: z.url(),
  stream: z.string().min(1),
  partitions,
  maxLength: z.int().min(1).optional(),
  maxAgeSeconds: z.int().min(1).optional(),
  ...credentials,
  tls,
})
const rabbitmq = z.object({
  url: z.url(),
  exchange: z.string().min(1),
  routingKey: z.string().min(1),
  partitions,
  unroutable: z.enum(['Keep', 'Drop']),
  ...credentials,
  tls,
})

/**
 * Where a worker's events go: an entry of `spec.events` with files in place of Secrets, which are never in the
 * environment or arguments. Exactly one of the kinds is there.
 */
export const sinkSettingsSchema = z.object({
  name: z.string().min(1),
  include: z.array(z.string()).optional(),
  exclude: z.array(z.string()).optional(),
  http: http.optional(),
  nats: nats.optional(),
  redis: redis.optional(),
  rabbitmq: rabbitmq.optional(),
})
export type SinkSettings = z.infer<typeof sinkSettingsSchema>
export type HttpSettings = z.infer<typeof http>
export type NatsSettings = z.infer<typeof nats>
export type RedisSettings = z.infer<typeof redis>
export type RabbitmqSettings = z.infer<typeof rabbitmq>
