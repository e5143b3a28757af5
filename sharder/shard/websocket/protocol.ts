/** Opcodes of RFC 6455, section 5.2; the others are reserved. */
export const Opcode = { Continuation: 0, Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 } as const

/** Close codes that are spoken of here (RFC 6455, section 7.4.1). */
export const CloseCode = {
  ProtocolError: 1002,
  /** Never sent: the close frame had no code. */
  NoStatus: 1005,
  /** Never sent: there was no close frame. */
  Abnormal: 1006,
  TooBig: 1009,
} as const

/** The peer broke a rule of RFC 6455; `code` is what the connection is to be closed with. */
export class FrameError extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** Longest payload of a control frame, in bytes (RFC 6455, section 5.5). */
export const MAX_CONTROL_BYTES = 125

/**
 * Whether an endpoint may put `code` into a close frame: those that RFC 6455 (section 7.4) and the IANA registry define
 * for it, and the ranges of libraries and applications, Discord's 4000 among them.
 */
export function isSendable(code: number): boolean {
  if (code >= 3000) return code <= 4999
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== CloseCode.NoStatus && code !== CloseCode.Abnormal
}
