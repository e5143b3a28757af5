import { isSecure, mayConnect } from '../../src/domain/gateway-host.ts'
import { GatewayFault } from './gateway-fault.ts'

/** Discord's is 41.25 s. Beyond this a timer would be no heartbeat, and far beyond it fires at once. In milliseconds. */
const LONGEST_HEARTBEAT_MS = 600_000
/** As the protocol between worker and manager takes them, see sessionSchema. */
const LONGEST_SESSION_ID = 256

/** What READY says of a new session. */
export interface NewSession {
  readonly sessionId: string
  /** As READY gave it, whatever that is: see resumeUrlOf. */
  readonly resumeGatewayUrl: unknown
}

/** The heartbeat interval in HELLO's `d`, in milliseconds. @throws GatewayFault */
export function heartbeatIntervalOf(d: unknown): number {
  const interval = fieldOf(d, 'heartbeat_interval')
  if (typeof interval !== 'number' || !(interval > 0 && interval <= LONGEST_HEARTBEAT_MS))
    throw new GatewayFault('field', 'HELLO without a usable heartbeat_interval')
  return interval
}

/** The session in READY's `d`. @throws GatewayFault when it has none: there is nothing to resume. */
export function sessionOf(d: unknown): NewSession {
  const sessionId = fieldOf(d, 'session_id')
  if (typeof sessionId !== 'string' || sessionId === '' || sessionId.length > LONGEST_SESSION_ID)
    throw new GatewayFault('field', 'READY without a usable session_id')
  return { sessionId, resumeGatewayUrl: fieldOf(d, 'resume_gateway_url') }
}

/**
 * Where a session may be resumed; undefined: not at `url`, be it that it is no URL, that its host is none of `hosts`, or that
 * it is not encrypted while `gateway`, where it was opened, is.
 */
export function resumeUrlOf(url: unknown, gateway: string, hosts: readonly string[]): string | undefined {
  return typeof url === 'string' && mayConnect(url, hosts, isSecure(gateway)) ? url : undefined
}

const fieldOf = (d: unknown, name: string): unknown =>
  typeof d === 'object' && d !== null ? (d as Record<string, unknown>)[name] : undefined
