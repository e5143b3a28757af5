import { z } from 'zod'
import { FROM_WORKERS, MAX_FOREIGN_TEXT } from '../limits.ts'
import { ago, textFor, whole } from './bounded.ts'

/**
 * Why a worker did not do what it was told, each with its own HTTP status.
 * The first group is about the request, the second about the attempt to identify, the third about a payload.
 */
export const FAILURE_STATUS = {
  /** The key is missing or wrong. */
  UNAUTHORIZED: 401,
  /** The body is not JSON, or not a command. */
  BAD_REQUEST: 400,
  /** The seed guide's answer to a type it does not know. */
  UNKNOWN_TYPE: 404,
  TOO_LARGE: 413,
  /** A newer manager has spoken to this worker: stand down. */
  STALE_EPOCH: 409,
  /** The shard is not in the range assigned to this worker, or is withheld. */
  NOT_ASSIGNED: 422,
  /** The worker is going away; its last state record carries the sessions. */
  DRAINING: 503,
  /** The slot passed before the socket was ready. No IDENTIFY was spent. */
  SLOT_MISSED: 503,
  /** The gateway could not be reached. No IDENTIFY was spent. */
  CONNECT_FAILED: 502,
  /** Op 9: one IDENTIFY was spent for nothing, usually too early for its bucket. */
  INVALID_SESSION: 502,
  /** 4004, 4010 ... 4014: about the whole ShardCluster, see `closeCode`. */
  FATAL_CLOSE: 502,
  /** The connection closed after IDENTIFY and before READY. */
  CLOSED: 502,
  /** IDENTIFY was sent, READY did not come. */
  READY_TIMEOUT: 504,
  /** SEND_PAYLOAD: the shard is not connected, nothing was sent. */
  NOT_CONNECTED: 409,
  /** SEND_PAYLOAD: an opcode that only the shard itself may send. */
  OPCODE_REFUSED: 403,
  /** SEND_PAYLOAD: Discord would close with 4002. */
  PAYLOAD_TOO_LARGE: 413,
  /** SEND_PAYLOAD: the shard's send limit leaves no room before the deadline, nothing was sent. See `retryAfterMs`. */
  SEND_LIMITED: 429,
  INTERNAL: 500,
} as const

export type FailureCode = keyof typeof FAILURE_STATUS

/** One of them, as it goes over the wire. */
export const failureCodeSchema = z.enum(Object.keys(FAILURE_STATUS) as [FailureCode, ...FailureCode[]])

/** The JSON body of every answer that is not a success. `error` is the seed guide's field of a 401. */
export const failureSchema = z.object({
  status: whole(400, 599),
  code: failureCodeSchema,
  message: textFor(MAX_FOREIGN_TEXT),
  error: textFor(MAX_FOREIGN_TEXT).optional(),
  /** The gateway's close code, where there was one. */
  closeCode: whole(0, FROM_WORKERS.closeCode).optional(),
  /** Present when an IDENTIFY was spent: milliseconds between its sending and this answer. */
  identifiedMsAgo: ago().optional(),
})
export type Failure = z.infer<typeof failureSchema>

/** A failure as a value, ready to be sent. */
export function failure(code: FailureCode, message: string, more: Partial<Failure> = {}): Failure {
  return { status: FAILURE_STATUS[code], code, message, ...more }
}
