/** What was wrong with something that the gateway sent. */
export type FaultReason =
  /** A WebSocket frame breaks RFC 6455. */
  | 'frame'
  /** A payload is too long, inflated or not, or the thread's shards together hold too much of what is unfinished. */
  | 'size'
  /** The compressed stream is corrupt, or has ended. */
  | 'compression'
  /** Not JSON, not a gateway payload, or not one that may come now. */
  | 'payload'
  /** A field is missing or of another type: of HELLO, READY, op 9 or an event. */
  | 'field'
  /** An opcode that is unknown, or a second HELLO: it was passed over. */
  | 'opcode'
  /** The sequence of an event is not ahead of the one before, or ahead of anything that can be. */
  | 'sequence'

/** The gateway sent something that cannot be used: the connection is given up and the session resumed. */
export class GatewayFault extends Error {
  override readonly name = 'GatewayFault'
  readonly reason: FaultReason

  /** `message` is sent to the gateway and reported: it quotes nothing of what was read. */
  constructor(reason: FaultReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** The reason of whatever was thrown over a payload. */
export const faultReason = (error: unknown, otherwise: FaultReason): FaultReason =>
  error instanceof GatewayFault ? error.reason : otherwise
