import { z } from 'zod'

/** Longest payload a client may send; beyond it Discord closes with 4002. */
export const LONGEST_CLIENT_PAYLOAD = 4096

/** What a client may send, by opcode. Unknown fields are the client's business. */
const identify = z.object({
  token: z.string(),
  properties: z.record(z.string(), z.unknown()),
  intents: z.number(),
  shard: z.tuple([z.number(), z.number()]).optional(),
})
const resume = z.object({ token: z.string(), session_id: z.string(), seq: z.number() })
const members = z.object({
  guild_id: z.union([z.string(), z.array(z.string())]),
  query: z.string().optional(),
  limit: z.number().optional(),
  user_ids: z.union([z.string(), z.array(z.string()).max(100)]).optional(),
  nonce: z.string().max(32).optional(),
})
const presence = z.object({
  since: z.number().nullable(),
  activities: z.array(z.looseObject({ name: z.string(), type: z.number() })),
  status: z.enum(['online', 'dnd', 'idle', 'invisible', 'offline']),
  afk: z.boolean(),
})
const voiceState = z.object({
  guild_id: z.string(),
  channel_id: z.string().nullable(),
  self_mute: z.boolean(),
  self_deaf: z.boolean(),
})

/** A payload from a client, as far as Discord looks at it. */
export type ClientPayload =
  | { readonly op: 1 }
  | { readonly op: 2; readonly d: z.infer<typeof identify> }
  | { readonly op: 6; readonly d: z.infer<typeof resume> }
  | { readonly op: 8; readonly d: z.infer<typeof members> }
  | { readonly op: 3; readonly d: z.infer<typeof presence> }
  | { readonly op: 4; readonly d: z.infer<typeof voiceState> }
  /** Soundboard sounds (31), channel info (43): counted, not answered, as presence and voice state are. */
  | { readonly op: 31 | 43 }

/** `decode`: close with 4002. `opcode`: close with 4001. */
export type ClientPayloadError = 'decode' | 'opcode'

/** Reads one payload. */
export function parseClientPayload(data: Buffer): ClientPayload | ClientPayloadError {
  if (data.length > LONGEST_CLIENT_PAYLOAD) return 'decode'
  const payload = parseJson(data)
  if (typeof payload !== 'object' || payload === null || !('op' in payload)) return 'decode'
  const d = 'd' in payload ? payload.d : undefined
  switch (payload.op) {
    case 1:
      return { op: 1 }
    case 2:
      return checked(2, identify.safeParse(d))
    case 6:
      return checked(6, resume.safeParse(d))
    case 8:
      return checked(8, members.safeParse(d))
    case 3:
      return checked(3, presence.safeParse(d))
    case 4:
      return checked(4, voiceState.safeParse(d))
    case 31:
    case 43:
      return { op: payload.op }
    default:
      return Number.isInteger(payload.op) ? 'opcode' : 'decode'
  }
}

function checked<Op extends number, D>(op: Op, parsed: z.ZodSafeParseResult<D>): { op: Op; d: D } | 'decode' {
  return parsed.success ? { op, d: parsed.data } : 'decode'
}

function parseJson(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString())
  } catch {
    return undefined
  }
}
