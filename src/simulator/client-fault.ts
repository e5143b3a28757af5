import { CloseCode, type ViolationKind } from './rules/index.ts'

/** A payload Discord answers with a close. */
export interface ClientFault {
  readonly code: number
  readonly kind: ViolationKind
  readonly detail: string
}

const protocolFault = (code: number, detail: string): ClientFault => ({ code, kind: 'protocol', detail })
/** A payload that cannot be read. */
export const UNDECODABLE = protocolFault(
  CloseCode.DecodeError,
  'a payload that cannot be decoded, or is longer than 4096 bytes',
)
/** An opcode of Discord's own, or nobody's. */
export const UNKNOWN_OPCODE = protocolFault(CloseCode.UnknownOpcode, 'an opcode clients do not send')
/** IDENTIFY or RESUME where there is a session. */
export const ALREADY_AUTHENTICATED = protocolFault(
  CloseCode.AlreadyAuthenticated,
  'IDENTIFY or RESUME on a live session',
)
/** Anything else where there is none. */
export const NOT_AUTHENTICATED = protocolFault(CloseCode.NotAuthenticated, 'a payload before IDENTIFY')
/** More than the send limit. */
export const TOO_MANY_SENDS: ClientFault = {
  code: CloseCode.RateLimited,
  kind: 'sendLimit',
  detail: 'too many payloads in a window',
}
