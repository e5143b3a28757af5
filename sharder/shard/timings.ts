/** Every wait of a shard, in milliseconds, in one place: simulations shorten them together. */
export interface ShardTimings {
  /** TCP, TLS and the WebSocket upgrade. */
  readonly handshake: number
  /** From the start of the connection to HELLO. */
  readonly hello: number
  /** From IDENTIFY to READY, and from RESUME to RESUMED without any event in between. Large bots' READY takes seconds. */
  readonly ready: number
  /** How late a socket may be for its slot before the slot is given back. */
  readonly slotTolerance: number
  /** First and longest back-off between connections. */
  readonly backoffBase: number
  readonly backoffCap: number
  /** A connection that lived this long was healthy: the back-off starts over. */
  readonly healthy: number
  /** Wait after op 9: uniform between both. Discord asks for 1 to 5 s. */
  readonly invalidLeast: number
  readonly invalidMost: number
  /** A session is tried for this long after its last contact (a bricked one answers 1006 for 90 s, discord-api-docs#1619). */
  readonly sessionLifetime: number
  /** Discord's window of 60 s for 120 sends, and a second for what the network may press together. */
  readonly sendWindow: number
}

export const SHARD_TIMINGS: ShardTimings = {
  handshake: 10_000,
  hello: 20_000,
  ready: 60_000,
  slotTolerance: 250,
  backoffBase: 250,
  backoffCap: 8_000,
  healthy: 10_000,
  invalidLeast: 1_000,
  invalidMost: 5_000,
  sessionLifetime: 90_000,
  sendWindow: 61_000,
}
