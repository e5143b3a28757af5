import { ShardState } from '@discordeno/gateway'
import { GatewayOpcodes } from '@discordeno/types'
import type { SessionEnd } from '../../src/protocol/state.ts'
import type { Feed } from '../sinks/sink.ts'
import { AdaptedShard } from './adapted-shard.ts'
import type { Purpose } from './attempt.ts'
import { GatewayFault } from './gateway-fault.ts'
import { type NewSession, resumeUrlOf } from './gateway-fields.ts'
import { head } from './payload-head.ts'
import type { ShardEnvironment } from './shard-environment.ts'
import type { SessionState } from './summary.ts'

/** No event is so far ahead of the one before: a RESUME from such a sequence would end the session. */
const FARTHEST_AHEAD = 1_000_000

/** A shard's session, and the feed its events go to: both begin and end together. */
export abstract class SessionShard extends AdaptedShard {
  protected readonly environment: ShardEnvironment
  #feed: Feed
  /** The shard count its session was opened with. */
  #totalShards = 0
  /** When the connection of the session ended; undefined: it is up. */
  protected lastContactAt: number | undefined
  #ended: SessionEnd | undefined
  #liveSequence = 0
  #readyAt = Number.NEGATIVE_INFINITY

  constructor(id: number, environment: ShardEnvironment) {
    super(id, environment.logger)
    this.environment = environment
    this.#feed = environment.openFeed(id, 0, '')
  }

  /** The last sequence that the sinks confirmed. */
  get acknowledged(): number {
    return this.#feed.acknowledged
  }

  /** The session as another process may resume it. */
  get session(): SessionState | undefined {
    if (!this.sessionId) return undefined
    return {
      sessionId: this.sessionId,
      resumeGatewayUrl: this.resumeGatewayUrl,
      sequence: this.#feed.acknowledged,
      totalShards: this.#totalShards,
      ...(this.lastContactAt !== undefined && { lastContactAt: this.lastContactAt }),
    }
  }

  /** How the last session ended, as long as there is no other. */
  get ended(): SessionEnd | undefined {
    return this.#ended
  }

  /** Its session is live and its connection is read from. */
  get listening(): boolean {
    return this.state === ShardState.Connected && !this.paused && this.connectionInUse?.open === true
  }

  /** The sequence of the last READY or RESUMED. */
  get liveSequence(): number {
    return this.#liveSequence
  }

  /** When READY came last in this process. */
  get readyAt(): number {
    return this.#readyAt
  }

  /** An event: op 0. */
  dispatch(bytes: Buffer, from: number, to: number): void {
    const previous = this.previousSequenceNumber ?? 0
    if (head.seq > previous) this.#advance(previous)
    else if (head.seq >= 0) this.environment.counts.fault('sequence')
    this.#feed.add(bytes, from, to, head.seq >= 0 ? head.seq : previous)
    this.environment.counts.event(bytes)
  }

  heartbeatAnswered(): void {
    // discordeno takes the round trip. It gets nothing of what was read: it would take a name of READY for READY.
    void this.handleDiscordPacket({ op: GatewayOpcodes.HeartbeatACK, t: null, s: null, d: null })
    if (this.heart.rtt !== undefined) this.environment.counts.roundTrip(this.heart.rtt)
  }

  protected restoreSession(session: SessionState): void {
    this.#ended = undefined
    this.sessionId = session.sessionId
    this.resumeGatewayUrl = session.resumeGatewayUrl
    this.previousSequenceNumber = session.sequence
    this.#totalShards = session.totalShards
    this.lastContactAt = session.lastContactAt ?? this.environment.clock.now()
    this.#feed = this.environment.openFeed(this.id, session.sequence, session.sessionId)
  }

  /** READY or RESUMED was read; its head is in `head`. */
  protected nowLive(): void {
    this.#liveSequence = head.seq
    this.lastContactAt = undefined
  }

  /** READY is about to be handled: what is read from now on is of a new session. */
  protected beginSession({ sessionId, resumeGatewayUrl }: NewSession, at: number): void {
    const { totalShards, gateway } = this.environment.settings()
    const url = resumeUrlOf(resumeGatewayUrl, gateway.url, this.environment.gatewayHosts)
    if (url === undefined) this.environment.counts.fault('field')
    this.sessionId = sessionId
    // A session can be resumed by the front door too.
    this.resumeGatewayUrl = url ?? gateway.url
    this.previousSequenceNumber = null
    this.#readyAt = at
    this.#ended = undefined
    this.#feed = this.environment.openFeed(this.id, 0, sessionId)
    this.#totalShards = totalShards
  }

  protected forgetSession(ended: SessionEnd): void {
    this.#ended = ended
    delete this.sessionId
    this.resumeGatewayUrl = ''
    this.previousSequenceNumber = null
    this.lastContactAt = undefined
  }

  /** When its session will be over; never, as long as its connection is up. */
  protected get expiresAt(): number {
    return (this.lastContactAt ?? Number.POSITIVE_INFINITY) + this.environment.timings.sessionLifetime
  }

  protected sessionExpired(): boolean {
    return this.environment.clock.now() >= this.expiresAt
  }

  /** In this process nothing that was read is lost: it goes on after the last sequence read, confirmed or not. */
  protected resumption(): Purpose {
    const { sessionId = '', resumeGatewayUrl, previousSequenceNumber } = this
    const { settings, gatewayHosts } = this.environment
    const gateway = settings().gateway.url
    const url = resumeUrlOf(resumeGatewayUrl, gateway, gatewayHosts) ?? gateway
    return { url, sessionId, sequence: previousSequenceNumber ?? 0 }
  }

  /** An event that is far ahead of all others is no next one. @throws GatewayFault */
  #advance(previous: number): void {
    if (head.seq - previous > FARTHEST_AHEAD) throw new GatewayFault('sequence', 'a sequence far ahead of the last')
    this.previousSequenceNumber = head.seq
  }
}
