import { DiscordenoShard, ShardState } from '@discordeno/gateway'
import { GatewayOpcodes } from '@discordeno/types'
import type { Logger } from '../../src/support/logger.ts'
import type { Connection } from './connection.ts'
import { HeartWatch } from './heart-watch.ts'
import type { Leaving } from './resume-cause.ts'

/** discordeno makes one for each shard, and only its own decompression uses it. */
const SHARED_DECODER = new TextDecoder()

/** Guards against a heartbeat_interval that would spin the process, in milliseconds. */
const SHORTEST_HEARTBEAT_MS = 100

/** The connection is discordeno's own business in its config; here the payloads are made elsewhere, without its token. */
const CONNECTION = {
  compress: false,
  transportCompression: null,
  intents: 0,
  properties: { os: '', browser: '', device: '' },
  token: '',
  url: '',
  version: 10,
  totalShards: 1,
}

/**
 * discordeno's shard with its life cycle taken out: 21.0.0 identifies on its own after each outage, has no back-off and
 * no time-outs, and throws out of a socket's callback on a fatal close code. What remains are its fields, its heart, its
 * send bucket and its handling of READY, RESUMED and heartbeat answers.
 */
export abstract class AdaptedShard extends DiscordenoShard {
  protected connectionInUse: Connection | undefined
  /** Nothing is read for now, so silence says nothing about the peer. */
  paused = false
  /** Why the connection that ended last was left, if this side left it though it looked alive. */
  protected leaving: Leaving | undefined
  readonly #heartWatch = new HeartWatch()

  constructor(id: number, logger: Logger) {
    super({ id, connection: CONNECTION, events: {}, logger })
    this.textDecoder = SHARED_DECODER
    this.state = ShardState.Unidentified
  }

  /** Ends the connection so that the session lives on; run() decides what follows. */
  override async close(code: number, reason: string): Promise<void> {
    this.connectionInUse?.close(code, reason)
  }

  /** Identifying needs a permit: see identifyWith. */
  override async identify(): Promise<void> {
    await this.close(4000, 'identify is not for callers')
  }

  override async resume(): Promise<void> {
    await this.close(4000, 'resuming')
  }

  override async shutdown(): Promise<void> {
    await this.close(4000, 'shutting down')
  }

  /** Events have gone to the sinks as bytes; discordeno would copy each of them into camel case. */
  override forwardToBot(): void {}

  /** Never 0: discordeno's send bucket of that size spins for ever (heartbeat intervals of 1016 ms and less). */
  override calculateSafeRequests(): number {
    return Math.max(1, super.calculateSafeRequests())
  }

  /** Stops reading or goes on, as the sinks ask. */
  setPaused(paused: boolean): void {
    if (this.paused === paused) return
    this.paused = paused
    // The answer to a heartbeat may lie unread in the socket: that silence was our own.
    this.heart.acknowledged = true
    if (paused) this.connectionInUse?.pause()
    else this.connectionInUse?.resume()
  }

  /** Called every `everyMs`: leaves a connection whose peer has gone or whose heart does not beat. */
  checkHeart(everyMs: number): void {
    const { connectionInUse, paused, heart } = this
    if (!connectionInUse?.open || paused || heart.timeoutId === undefined) this.#heartWatch.restart()
    else {
      const fault = this.#heartWatch.look(heart.interval, everyMs)
      if (fault) this.leave('zombie', fault === 'unheard' ? 'nothing was read for two heartbeats' : 'no heartbeat left')
    }
  }

  /** Ends a connection that looks alive; its session lives on and is resumed. */
  leave(leaving: Leaving, why: string): void {
    if (!this.connectionInUse?.open) return
    this.leaving = leaving
    this.connectionInUse.close(4000, `${leaving}: ${why}`)
  }

  /** Something was read: the peer lives. This is the hot path. */
  heard(): void {
    this.heart.acknowledged = true
    this.#heartWatch.heard()
  }

  hello(heartbeatInterval: number): void {
    this.leaving = undefined
    this.#heartWatch.restart()
    this.startHeartbeating(heartbeatInterval)
  }

  heartbeatRequested(): void {
    this.beat()
  }

  /** Whether a payload of the bot's can be sent now. */
  get connected(): boolean {
    return this.state === ShardState.Connected && this.connectionInUse?.open === true
  }

  /** Milliseconds between heartbeats, which take their part of the send limit. */
  get heartbeatInterval(): number {
    return this.heart.interval
  }

  /** Sends a payload of the bot's, past discordeno's bucket: see Outbox. @returns whether it left. */
  transmit(text: string): boolean {
    if (!this.connected) return false
    this.connectionInUse?.send(text)
    return true
  }

  override startHeartbeating(interval: number): void {
    this.stopHeartbeating()
    this.heart.interval = Math.max(SHORTEST_HEARTBEAT_MS, interval)
    this.heart.acknowledged = true
    const first = this.heart.interval * Math.random()
    this.heart.timeoutId = setTimeout(() => {
      this.beat()
      this.heart.intervalId = setInterval(() => this.beatOrLeave(), this.heart.interval)
    }, first)
  }

  override stopHeartbeating(): void {
    super.stopHeartbeating()
    // Closures of a timer that has gone hold the connection they knew.
    delete this.heart.intervalId
    delete this.heart.timeoutId
  }

  protected beat(): void {
    this.connectionInUse?.send(`{"op":${GatewayOpcodes.Heartbeat},"d":${this.previousSequenceNumber ?? 'null'}}`)
    this.heart.lastBeat = Date.now()
    this.heart.acknowledged = false
    this.#heartWatch.beaten()
  }

  /** Anything that was read since the last beat counts as its answer (discordeno#2311). */
  private beatOrLeave(): void {
    if (this.heart.acknowledged || this.paused) this.beat()
    else this.leave('zombie', 'no answer to a heartbeat')
  }

  /** Frees what would fire later. */
  protected letGo(): void {
    this.stopHeartbeating()
    clearTimeout(this.bucket.timeoutId)
    delete this.bucket.timeoutId
  }
}
