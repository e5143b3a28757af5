import type { FaultReason } from '../../../../sharder/shard/gateway-fault.ts'
import type { Random } from '../../../support/random.ts'
import type { Compress, Wire } from './wire.ts'

/** What the next payload of a session looks like instead. */
export interface Fault {
  readonly name: string
  /** In whose place: the next event's; or HELLO's or RESUMED's of the next connection, for which this one is cut. */
  readonly at: 'event' | 'hello' | 'resumed'
  /** Where it can be played; omitted: everywhere. */
  readonly on?: readonly Compress[]
  /** What the worker counts: one of these; none: it is nothing to complain of. */
  readonly reasons: readonly FaultReason[]
  /** Whether the shard leaves the connection for it. */
  readonly leaves: boolean
  /** @returns the payload as it must reach the bot, if not as it is. */
  readonly play: (wire: Wire, payload: Buffer, random: Random) => Promise<Buffer | undefined>
}

/** How many RESUMEs the shard sends until it is well again. */
export function resumesOf({ at, leaves }: Fault): number {
  // Nothing is sent before HELLO, and RESUMED comes after one.
  if (at === 'hello') return 1
  return (at === 'resumed' ? 1 : 0) + (leaves ? 1 : 0)
}

type Play = (wire: Wire, payload: Buffer, random: Random) => Promise<unknown> | unknown

/** It is noticed, and the session resumed. */
export const leaving = (name: string, reason: FaultReason | readonly FaultReason[], play: Play): Fault => ({
  name,
  at: 'event',
  reasons: [reason].flat() as FaultReason[],
  leaves: true,
  play: async (...args) => {
    await play(...args)
    return undefined
  },
})

/** It is passed over; the event in whose place it came is sent after it. `reason` omitted: nothing is counted. */
export const passing = (name: string, reason: FaultReason | undefined, play: Play): Fault => ({
  name,
  at: 'event',
  reasons: reason === undefined ? [] : [reason],
  leaves: false,
  play: async (wire, payload, random) => {
    await play(wire, payload, random)
    await wire.send(payload)
    return undefined
  },
})

/** The same event in another form. */
export const reshaped = (name: string, shape: (event: GatewayEvent, random: Random) => Buffer | string): Fault => ({
  name,
  at: 'event',
  reasons: [],
  leaves: false,
  play: async (wire, payload, random) => {
    const bytes = Buffer.from(shape(JSON.parse(payload.toString()) as GatewayEvent, random))
    await wire.send(bytes)
    // Ends of lines between tokens become spaces.
    return bytes.map((byte) => (byte === 10 || byte === 13 ? 32 : byte)) as Buffer
  },
})

export interface GatewayEvent {
  readonly t: string
  readonly s: number
  readonly op: number
  readonly d: Record<string, unknown>
}

/** The event with other fields; undefined removes one. */
export const changed = (payload: Buffer, fields: Record<string, unknown>): string =>
  JSON.stringify({ ...(JSON.parse(payload.toString()) as GatewayEvent), ...fields })

export const bytesOf = (random: Random, least: number, most: number): Buffer =>
  Buffer.from(Array.from({ length: random.int(least, most) }, () => random.int(0, 255)))
