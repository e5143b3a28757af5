import { type DiscordGatewayPayload, GatewayOpcodes } from '@discordeno/types'
import type { GatewayOptions } from '../../src/protocol/commands.ts'
import type { Cancel, Clock } from '../../src/support/clock.ts'
import { CODECS } from './codec.ts'
import { type Closed, Connection } from './connection.ts'
import { type FaultReason, GatewayFault } from './gateway-fault.ts'
import { heartbeatIntervalOf, type NewSession, sessionOf } from './gateway-fields.ts'
import { gatewayUrl, identifyPayload, resumePayload } from './gateway-payloads.ts'
import { hashType, head, readHead } from './payload-head.ts'
import { exactlyAt, type IdentifyOutcome, notIdentified, type Permit } from './permit.ts'
import type { ShardTimings } from './timings.ts'

const READY = hashType('READY')
const RESUMED = hashType('RESUMED')

/** What is read beside events. */
const CONTROL: ReadonlySet<number> = new Set([
  GatewayOpcodes.Heartbeat,
  GatewayOpcodes.Reconnect,
  GatewayOpcodes.InvalidSession,
  GatewayOpcodes.Hello,
  GatewayOpcodes.HeartbeatACK,
])
/** They are some hundred bytes long. What is longer would hold the thread up while it is parsed. */
const LONGEST_CONTROL_BYTES = 64 * 1024

/** What a connection is opened for. */
export type Purpose =
  | { readonly permit: Permit; readonly shard: readonly [number, number] }
  | { readonly permit?: undefined; readonly url: string; readonly sessionId: string; readonly sequence: number }

/** The shard, as its connection needs it. */
export interface AttemptHost {
  readonly paused: boolean
  /** Something was read: the peer lives. */
  heard(): void
  hello(heartbeatInterval: number): void
  identifySent(at: number): void
  resumeSent(): void
  /** READY with its session, or RESUMED, after `replayed` events. The payload itself follows by dispatch(). */
  live(session: NewSession | undefined, at: number, replayed: number): void
  /** An event: op 0. Its head is in `head`. */
  dispatch(bytes: Buffer, from: number, to: number): void
  heartbeatRequested(): void
  heartbeatAnswered(): void
  /** Something odd was passed over. */
  odd(reason: FaultReason): void
}

export interface AttemptOptions {
  readonly purpose: Purpose
  readonly token: string
  readonly gateway: GatewayOptions
  readonly clock: Clock
  readonly timings: ShardTimings
  readonly host: AttemptHost
  /** The handshake is over. */
  readonly onOpen: () => void
  readonly onEnded: (ended: AttemptEnded) => void
}

/** How a connection ended and how far it came. Moments are on the injected clock. */
export interface AttemptEnded extends Closed {
  readonly identifySentAt: number | undefined
  readonly liveAt: number | undefined
  /** Op 7 came. */
  readonly reconnectAsked: boolean
  /** Op 9 and its `d`. */
  readonly invalidResumable: boolean | undefined
  /** Why this side gave up before READY. */
  readonly failure: IdentifyOutcome | undefined
}

/** One connection, from its opening to its end: HELLO, IDENTIFY on its slot or RESUME, READY or RESUMED, events. */
export class Attempt {
  readonly connection: Connection
  readonly #options: AttemptOptions
  readonly #host: AttemptHost
  #identifySentAt: number | undefined
  #liveAt: number | undefined
  #reconnectAsked = false
  #invalidResumable: boolean | undefined
  #failure: IdentifyOutcome | undefined
  #greeted = false
  /** Events came since the deadline was set: a long replay is no silence. */
  #progress = false
  /** Events that came before READY or RESUMED. */
  #replayed = 0
  #cancelDeadline: Cancel = () => {}
  #cancelSlot: Cancel = () => {}

  constructor(options: AttemptOptions) {
    this.#options = options
    this.#host = options.host
    const { purpose, gateway, clock, timings, onOpen } = options
    this.connection = new Connection({
      clock,
      url: gatewayUrl(purpose.permit ? gateway.url : purpose.url, gateway),
      codec: CODECS[gateway.compression],
      handshakeTimeoutMs: timings.handshake,
      onOpen,
      onPayload: (bytes, from, to) => this.#payload(bytes, from, to),
      onClosed: (closed) => this.#closed(closed),
    })
    if (this.#host.paused) this.connection.pause()
    this.#expectHello()
  }

  get identifySentAt(): number | undefined {
    return this.#identifySentAt
  }

  #expectHello(): void {
    const { purpose, clock, timings } = this.#options
    if (purpose.permit?.exact) {
      const late = purpose.permit.slotAt + timings.slotTolerance - clock.now()
      this.#cancelDeadline = clock.after(late, () => this.#giveUp('SLOT_MISSED', TOO_LATE))
    } else this.#expect(timings.hello, () => this.#giveUp('CONNECT_FAILED', NO_HELLO))
  }

  /** This is the hot path: a hundred thousand times a second, without garbage. */
  #payload(bytes: Buffer, from: number, to: number): void {
    readHead(bytes, from, to)
    this.#host.heard()
    if (head.op === GatewayOpcodes.Dispatch) {
      if (head.seq < 0 || head.type === 0) checkEvent()
      if (this.#liveAt === undefined) this.#beforeLive(bytes, from, to)
      this.#host.dispatch(bytes, from, to)
    } else this.#control(bytes, from, to)
  }

  #beforeLive(bytes: Buffer, from: number, to: number): void {
    this.#progress = true
    const { purpose, clock } = this.#options
    const mayAnswer = head.type === READY || head.type === RESUMED
    const answer = mayAnswer ? answerOf(parse(bytes, from, to).d, purpose) : undefined
    if (!answer) {
      this.#replayed++
      return
    }
    this.#cancelDeadline()
    this.#liveAt = clock.now()
    this.#host.live(answer.session, this.#liveAt, this.#replayed)
  }

  #control(bytes: Buffer, from: number, to: number): void {
    // There have been new opcodes before, and there will be again.
    if (!CONTROL.has(head.op)) {
      this.#host.odd('opcode')
      return
    }
    if (to - from > LONGEST_CONTROL_BYTES) throw new GatewayFault('size', `op ${head.op} is never so long`)
    const packet = parse(bytes, from, to)
    switch (packet.op) {
      case GatewayOpcodes.Hello:
        // Another one would send IDENTIFY twice.
        if (this.#greeted) this.#host.odd('opcode')
        else this.#hello(heartbeatIntervalOf(packet.d))
        break
      case GatewayOpcodes.Heartbeat:
        this.#host.heartbeatRequested()
        break
      case GatewayOpcodes.HeartbeatACK:
        this.#host.heartbeatAnswered()
        break
      case GatewayOpcodes.Reconnect:
        this.#reconnectAsked = true
        this.connection.close(4000, 'Discord asked to reconnect (op 7)')
        break
      case GatewayOpcodes.InvalidSession:
        if (typeof packet.d !== 'boolean') this.#host.odd('field')
        // Only a clear no ends a session: to try it once more costs nothing.
        this.#invalidResumable = packet.d !== false
        this.connection.close(4000, 'invalid session (op 9)')
    }
  }

  #hello(heartbeatInterval: number): void {
    const { purpose, clock, timings } = this.#options
    this.#greeted = true
    this.#cancelDeadline()
    this.#host.hello(heartbeatInterval)
    if (!purpose.permit) {
      this.#resume(purpose)
      return
    }
    const { permit } = purpose
    // The timer that would have said so may be behind this message on a loop that was blocked.
    const late = permit.exact && clock.now() > permit.slotAt + timings.slotTolerance
    if (late) this.#giveUp('SLOT_MISSED', TOO_LATE)
    else this.#cancelSlot = exactlyAt(clock, permit.slotAt, () => this.#identify(purpose))
  }

  #identify({ permit, shard }: Purpose & { readonly permit: Permit }): void {
    const { gateway, token, clock, timings } = this.#options
    if (permit.settled || !this.connection.open) {
      this.connection.close(4000, 'the permit was withdrawn')
      return
    }
    this.connection.send(identifyPayload(token, shard, gateway))
    this.#identifySentAt = clock.now()
    this.#host.identifySent(this.#identifySentAt)
    this.#expect(timings.ready, () => this.#giveUp('READY_TIMEOUT', 'READY did not come in time after IDENTIFY'))
  }

  #resume({ sessionId, sequence }: Exclude<Purpose, { readonly permit: Permit }>): void {
    this.connection.send(resumePayload(this.#options.token, sessionId, sequence))
    this.#host.resumeSent()
    this.#expect(this.#options.timings.ready, () => this.connection.close(4000, 'RESUMED did not come in time'))
  }

  /** Runs `late` when there was no progress for so long; as long as nothing is read, the silence is our own. */
  #expect(milliseconds: number, late: () => void): void {
    this.#cancelDeadline()
    this.#progress = false
    this.#cancelDeadline = this.#options.clock.after(milliseconds, () => {
      if (this.#progress || this.#host.paused) this.#expect(milliseconds, late)
      else late()
    })
  }

  #giveUp(code: 'SLOT_MISSED' | 'CONNECT_FAILED' | 'READY_TIMEOUT', why: string): void {
    const identifiedMsAgo =
      this.#identifySentAt === undefined ? {} : { identifiedMsAgo: this.#options.clock.now() - this.#identifySentAt }
    this.#failure = notIdentified(code, `${why}.`, identifiedMsAgo)
    this.connection.close(4000, why)
  }

  #closed(closed: Closed): void {
    this.#cancelDeadline()
    this.#cancelSlot()
    this.#options.onEnded({
      ...closed,
      identifySentAt: this.#identifySentAt,
      liveAt: this.#liveAt,
      reconnectAsked: this.#reconnectAsked,
      invalidResumable: this.#invalidResumable,
      failure: this.#failure,
    })
  }
}

const NO_HELLO = 'HELLO did not come in time, no IDENTIFY was spent'
const TOO_LATE = 'the socket was not ready at its slot, no IDENTIFY was spent'

/**
 * READY after IDENTIFY with its new session, RESUMED after RESUME. undefined: the READY of the session that is resumed,
 * which is sent again like any event when the sinks had not confirmed even that. @throws GatewayFault
 */
function answerOf(d: unknown, purpose: Purpose): { readonly session: NewSession | undefined } | undefined {
  if (purpose.permit) {
    if (head.type !== READY) throw new GatewayFault('payload', 'RESUMED after IDENTIFY')
    return { session: sessionOf(d) }
  }
  if (head.type === RESUMED) return { session: undefined }
  if (sessionOf(d).sessionId !== purpose.sessionId)
    throw new GatewayFault('payload', 'READY of another session after RESUME')
  return undefined
}

/** An event without a sequence could not be confirmed, one without a name not be told from others. @throws GatewayFault */
function checkEvent(): void {
  if (head.type === 0) throw new GatewayFault('field', 'an event without a name')
  // RESUMED is no event of the session, and some gateways do not count it.
  if (head.type !== RESUMED) throw new GatewayFault('field', 'an event without a sequence')
}

function parse(bytes: Buffer, from: number, to: number): DiscordGatewayPayload {
  return JSON.parse(bytes.toString('utf8', from, to)) as DiscordGatewayPayload
}
