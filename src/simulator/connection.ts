import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Bot } from './bots.ts'
import {
  ALREADY_AUTHENTICATED,
  type ClientFault,
  NOT_AUTHENTICATED,
  TOO_MANY_SENDS,
  UNDECODABLE,
  UNKNOWN_OPCODE,
} from './client-fault.ts'
import { type ClientPayload, parseClientPayload } from './client-payload.ts'
import type { ConnectionHost, ConnectionQuery } from './connection-host.ts'
import { Outbound } from './outbound.ts'
import type { Ownership } from './owners.ts'
import { HEARTBEAT_ACK, INVALID_SESSION, type RenderContext, renderDispatch, replayed } from './payloads.ts'
import {
  CLOSE_REASONS,
  CloseCode,
  countSent,
  type IdentifyOutcome,
  type ResumeOutcome,
  SendLimit,
  type Session,
} from './rules/index.ts'

type Connected = Session<GatewayConnection>
type ConnectedBot = Bot<GatewayConnection>

/** One WebSocket of a client: reads payloads, lets the rules judge them, and sends what its session's log holds. */
export class GatewayConnection {
  readonly #gateway: ConnectionHost<GatewayConnection>
  readonly #ws: WebSocket
  readonly #out: Outbound
  readonly #query: ConnectionQuery
  readonly #sends: SendLimit
  #bot: ConnectedBot | undefined
  #session: Connected | undefined
  #render: RenderContext | undefined
  /** Last sequence of the session's log that was sent here. */
  #cursor = 0
  /** Sequences up to this one are a replay. */
  #replayedTo = 0
  /** READY is being delayed on purpose. */
  #held = false
  /** Gets no events any more, though everything else goes on. */
  #forgotten = false
  #lastBeat: number
  #closeCode: number | undefined
  #ownership: Ownership | undefined

  constructor(gateway: ConnectionHost<GatewayConnection>, ws: WebSocket, socket: Socket, query: ConnectionQuery) {
    this.#gateway = gateway
    this.#ws = ws
    this.#query = query
    this.#out = new Outbound(ws, socket, query.compression, () => this.pump())
    this.#sends = new SendLimit(gateway.settings.sendLimit, gateway.settings.times.sendWindowMs)
    this.#lastBeat = gateway.clock.now()
    ws.on('message', (data: Buffer) => this.#receive(data))
    ws.on('close', (code, reason) => this.#closed(code, reason.toString()))
    // A reset connection is an error first and closed right after; the close is what counts.
    ws.on('error', () => undefined)
  }

  get session(): Connected | undefined {
    return this.#session
  }

  get bot(): ConnectedBot | undefined {
    return this.#bot
  }

  /** True as soon as a close was sent or received. */
  get closing(): boolean {
    return this.#closeCode !== undefined
  }

  /** Open in both directions: neither side has said that it closes. */
  get live(): boolean {
    return !this.closing && this.#ws.readyState === this.#ws.OPEN
  }

  /** What it owns; undefined before and after it has a session. */
  get ownership(): Ownership | undefined {
    return this.#ownership
  }

  /** Monotonic milliseconds of the last heartbeat, or of the connect. */
  get lastBeat(): number {
    return this.#lastBeat
  }

  /**
   * Whether new events should wait until this client has taken the old ones. The log counts too: where some bytes
   * leave (compression takes its time) and twice as many events are made, the log forgets what was never sent.
   */
  get behind(): boolean {
    return this.#congested || this.#cursor < (this.#session?.log.last ?? 0)
  }

  get #congested(): boolean {
    return this.#held || this.#out.congested
  }

  send(payload: Buffer): void {
    this.#out.send(payload)
  }

  /** Closes as Discord does, with the code's own words. */
  close(code: number): void {
    if (this.closing) return
    this.#leave(code, 'discord')
    this.#ws.close(code, CLOSE_REASONS[code] ?? '')
  }

  /** Closes because its session is resumed elsewhere. */
  supersede(): void {
    this.#ownership?.superseded()
    this.close(CloseCode.UnknownError)
  }

  /** Cuts the TCP connection without a word; the session stays resumable. */
  drop(): void {
    this.#ws.terminate()
  }

  /** Sends it no event from now on, while heartbeats are answered: a RESUME on another connection has them all. */
  forget(): void {
    this.#forgotten = true
  }

  /** Ends the session, not the connection: what an op 9 with `d: false` means for a live one. */
  endSession(): void {
    if (this.#session !== undefined) this.#bot?.rules.sessions.end(this.#session)
    this.#session = undefined
    this.#ownership?.end()
  }

  /** Sends what the session's log has beyond the cursor, as far as the socket takes it. */
  pump(): void {
    const session = this.#session
    const render = this.#render
    if (session === undefined || render === undefined || this.closing || this.#forgotten) return
    this.#out.batch(() => this.#sendLog(session, render))
    if (this.#cursor === session.log.last) this.#gateway.drained(session.shard)
  }

  #sendLog(session: Connected, render: RenderContext): void {
    if (this.#cursor + 1 < session.log.first) {
      const behind = session.log.last - this.#cursor
      this.#fail({ code: CloseCode.UnknownError, kind: 'slowConsumer', detail: `${behind} dispatches behind` })
      this.endSession()
      return
    }
    while (this.#cursor < session.log.last && !this.#congested) {
      this.#cursor += 1
      const record = session.log.at(this.#cursor)
      const due = this.#cursor > this.#replayedTo ? record : replayed(record)
      const { head, tail } = renderDispatch(session, this.#cursor, due, render)
      this.#out.send(tail, head)
      this.#gateway.counts.dispatches += 1
      countSent(session, this.#cursor)
    }
  }

  #receive(data: Buffer): void {
    if (this.closing) return
    this.#gateway.counts.received += 1
    const now = this.#gateway.clock.now()
    const fault = this.#sends.take(now) ? this.#accept(parseClientPayload(data), now) : TOO_MANY_SENDS
    if (fault !== undefined) this.#fail(fault)
  }

  #accept(payload: ReturnType<typeof parseClientPayload>, now: number): ClientFault | undefined {
    if (payload === 'decode') return UNDECODABLE
    if (payload === 'opcode') return UNKNOWN_OPCODE
    this.#gateway.countOp(payload.op)
    if (payload.op === 1) {
      this.#heartbeat(now)
    } else if (payload.op === 2 || payload.op === 6) {
      if (this.#session !== undefined) return ALREADY_AUTHENTICATED
      this.#authenticate(payload)
    } else {
      if (this.#session === undefined || this.#bot === undefined) return NOT_AUTHENTICATED
      if (payload.op === 8) this.#gateway.requestMembers(this.#bot, this.#session, payload.d)
    }
    return undefined
  }

  #heartbeat(now: number): void {
    this.#lastBeat = now
    if (!this.#gateway.faults.swallowsHeartbeat(this.#session?.shard)) this.send(HEARTBEAT_ACK)
  }

  #authenticate({ op, d }: Extract<ClientPayload, { readonly op: 2 | 6 }>): void {
    const bot = this.#gateway.bots.find(d.token)
    this.#bot = bot
    if (bot === undefined) this.close(CloseCode.AuthenticationFailed)
    else if (op === 2)
      this.#identified(
        bot,
        bot.rules.identify(this, { shard: d.shard, intents: d.intents }, this.#gateway.arrivedAfter()),
      )
    else this.#resumed(bot, d.seq, bot.rules.resume(this, { sessionId: d.session_id, seq: d.seq }))
  }

  #identified(bot: ConnectedBot, outcome: IdentifyOutcome<GatewayConnection>): void {
    switch (outcome.kind) {
      case 'invalid-session':
        this.send(INVALID_SESSION)
        break
      case 'close':
        this.close(outcome.code)
        break
      case 'token-reset':
        for (const connection of [...outcome.connections, this]) connection.close(CloseCode.AuthenticationFailed)
        break
      case 'ready':
        this.#attach(bot, outcome.session, 0)
        this.#gateway.begin(outcome.session)
        this.#pumpAfter(this.#gateway.faults.readyDelayMs)
    }
  }

  #resumed(bot: ConnectedBot, seq: number, outcome: ResumeOutcome<GatewayConnection>): void {
    if (outcome.kind === 'invalid-session') {
      this.send(INVALID_SESSION)
    } else if (outcome.kind === 'close') {
      this.close(outcome.code)
    } else {
      outcome.superseded?.supersede()
      this.#attach(bot, outcome.session, seq)
      this.#gateway.resumed(outcome.session)
      this.pump()
    }
  }

  #pumpAfter(delayMs: number): void {
    this.#held = delayMs > 0
    if (!this.#held) {
      this.pump()
      return
    }
    this.#gateway.clock.after(delayMs, () => {
      this.#held = false
      this.pump()
    })
  }

  #attach(bot: ConnectedBot, session: Connected, seq: number): void {
    this.#session = session
    this.#cursor = seq
    this.#replayedTo = session.log.last
    this.#render = {
      applicationId: bot.applicationId,
      gatewayUrl: this.#query.gatewayUrl,
      apiVersion: this.#query.version,
      guilds: this.#gateway.guilds,
      extras: this.#gateway.extras,
    }
    this.#ownership = this.#gateway.owners.take(bot.applicationId, session.shard, () => this.live)
  }

  #fail({ code, kind, detail }: ClientFault): void {
    const shard = this.#session?.shard
    const where = shard === undefined ? undefined : ([shard.id, shard.total] as const)
    this.#gateway.violation(this.#bot, kind, `${detail}: closed with ${code}`, where)
    this.close(code)
  }

  #closed(code: number, reason: string): void {
    if (!this.closing) this.#leave(code, 'client')
    this.#ownership?.closed(code, reason)
    this.#out.close()
    this.#gateway.left(this)
  }

  #leave(code: number, by: 'client' | 'discord'): void {
    this.#closeCode = code
    this.#gateway.countClose(code)
    if (this.#session !== undefined) this.#bot?.rules.disconnected(this.#session, this, code, by)
    this.#ownership?.end()
  }
}
