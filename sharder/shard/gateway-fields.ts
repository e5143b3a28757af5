import { GatewayFault } from './gateway-fault.ts'

/** Discord's is 41.25 s. Beyond this a timer would be no heartbeat, and far beyond it fires at once. In milliseconds. */
const LONGEST_HEARTBEAT_MS = 600_000
/** As the protocol between worker and manager takes them, see sessionSchema. */
const LONGEST_SESSION_ID = 256
const LONGEST_URL = 1024

/** What READY says of a new session. */
export interface NewSession {
  readonly sessionId: string
  /** undefined: what READY gave is no URL of a gateway. */
  readonly resumeGatewayUrl: string | undefined
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
  const url = fieldOf(d, 'resume_gateway_url')
  return { sessionId, resumeGatewayUrl: isGatewayUrl(url) ? url : undefined }
}

/** Whether a connection can be opened to it. */
export function isGatewayUrl(url: unknown): url is string {
  return typeof url === 'string' && url.length <= LONGEST_URL && /^wss?:$/.test(URL.parse(url)?.protocol ?? '')
}

const fieldOf = (d: unknown, name: string): unknown =>
  typeof d === 'object' && d !== null ? (d as Record<string, unknown>)[name] : undefined
