import { z } from 'zod'
import { REST_PROXY } from '../limits.ts'
import { memoryBudget } from './budget.ts'

/** What a REST proxy can be told. */
export const restProxyOptionsSchema = z.strictObject({
  /** The bot's token, without `Bot `. */
  token: z
    .string()
    .min(1)
    .refine((token) => /^\d+$/.test(Buffer.from(token.split('.')[0] ?? '', 'base64').toString('latin1')), {
      error: 'is not a bot token: its first part must be the base64 of the application id',
    }),
  /** The key callers must send in `authorization`. */
  authorization: z.string().min(1),
  host: z.string().default('127.0.0.1'),
  /** 0: any free port. */
  port: z.int().min(0).max(65_535).default(0),
  /** Requests go to `<discordUrl>/v10/...`. */
  discordUrl: z.url({ protocol: /^https?$/ }).default('https://discord.com/api'),
  /** How long a caller waits at most, queue and retries included, in milliseconds. */
  timeoutMs: z.number().positive().max(600_000).default(30_000),
  /** How often one request is sent again after a 429 before the 429 is passed on. */
  maxRetries: z.int().nonnegative().default(3),
  /** Largest body, in bytes; never more than `memoryBudget`. */
  bodyLimit: z.int().positive().default(REST_PROXY.bodyBytes),
  /** Requests inside at once; beyond it callers get a 503 instead of memory running out. */
  maxRequests: z.int().positive().default(REST_PROXY.requests),
  /**
   * Bytes of requests that wait and of answers that their callers have not read yet; beyond it callers get a 503.
   * Default: a quarter of the memory that this process may have.
   */
  memoryBudget: z
    .int()
    .min(REST_PROXY.leastBudget)
    .default(() => memoryBudget()),
})

/** As given. */
export type RestProxyOptions = z.input<typeof restProxyOptionsSchema>
/** As used. */
export type RestProxySettings = z.output<typeof restProxyOptionsSchema>
