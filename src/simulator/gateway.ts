import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import { type Cancel, type Clock, systemClock } from '../support/clock.ts'
import { ArrivalWatch } from './arrival.ts'
import { type Bot, Bots } from './bots.ts'
import type { TransportCompression } from './compression.ts'
import { GatewayConnection } from './connection.ts'
import type { ConnectionHost, ConnectionQuery } from './connection-host.ts'
import { Faults, type RefuseMode } from './faults.ts'
import type { SimulatorSettings } from './options.ts'
import { type Ownership, OwnerWatch } from './owners.ts'
import { type Extra, type GuildShape, guildShape, helloPayload, Kind } from './payloads.ts'
import {
  CLOSE_REASONS,
  CloseCode,
  intentMask,
  type MembersRequest,
  type Session,
  type ShardRecord,
  type ViolationKind,
  Violations,
} from './rules/index.ts'

/** Longest message read at all; between 4096 bytes and this the answer is a proper 4002. */
const LONGEST_MESSAGE = 1 << 20
const VERSIONS: ReadonlySet<string> = new Set(['9', '10'])

/** What all connections share: the bots, the faults, the counters, and one timer for everything that waits. */
export class Gateway implements ConnectionHost<GatewayConnection> {
  readonly settings: SimulatorSettings
  readonly clock: Clock
  readonly bots: Bots<GatewayConnection>
  readonly faults: Faults
  readonly guilds: GuildShape
  readonly extras = new WeakMap<object, Map<number, Extra>>()
  readonly counts = { connections: 0, refused: 0, received: 0, dispatches: 0 }
  readonly closes = new Map<number, number>()
  readonly receivedOps = new Map<number, number>()
  /** Violations of connections that never said who they are. */
  readonly anonymous: Violations
  readonly connections = new Set<GatewayConnection>()
  readonly owners: OwnerWatch
  /** Called when a shard's connection has sent everything there is. */
  onDrained: ((shard: ShardRecord<GatewayConnection>) => void) | undefined
  readonly #hello: Buffer
  readonly #server: WebSocketServer
  readonly #hung = new Set<Duplex>()
  /** Injected time does not stand still. */
  readonly #arrivals: ArrivalWatch | undefined
  #cancelSweep: Cancel

  constructor(settings: SimulatorSettings, clock: Clock) {
    this.settings = settings
    this.clock = clock
    this.bots = new Bots(settings, clock)
    this.faults = new Faults(() => clock.now())
    this.guilds = guildShape(settings.guildsPerShard, settings.guildBytes)
    this.anonymous = new Violations(settings.keepViolations, () => clock.date())
    this.#hello = helloPayload(settings.times.heartbeatIntervalMs)
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      skipUTF8Validation: true,
      maxPayload: LONGEST_MESSAGE,
    })
    this.#cancelSweep = this.#sweepLater()
    this.owners = new OwnerWatch(clock, () => this.#ownerships())
    this.#arrivals = clock === systemClock ? new ArrivalWatch(() => clock.now()) : undefined
  }

  arrivedAfter(): number {
    return this.#arrivals?.earliest() ?? this.clock.now()
  }

  /** Takes over an HTTP upgrade, or refuses it. `gatewayUrl` is what READY will advertise. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, gatewayUrl: string): void {
    const refusal = this.faults.takeRefusal()
    if (refusal === undefined) this.#accept(request, socket, head, gatewayUrl)
    else this.#refuse(socket, refusal)
  }

  left(connection: GatewayConnection): void {
    this.connections.delete(connection)
  }

  /** Fills the log of a new session: READY, then its guilds one by one. */
  begin(session: Session<GatewayConnection>): void {
    const at = this.clock.date().getTime()
    session.log.append(Kind.Ready, 0, at)
    if ((session.intents & intentMask('Guilds')) === 0) return
    for (let guild = 0; guild < this.guilds.perShard; guild += 1) {
      session.shard.counter += 1
      session.log.append(Kind.FirstGuild + guild, session.shard.counter, at)
    }
  }

  resumed(session: Session<GatewayConnection>): void {
    session.log.append(Kind.Resumed, 0, this.clock.date().getTime())
  }

  /** Answers Request Guild Members with one chunk per guild, or with RATE_LIMITED, as an event of the session that asked. */
  requestMembers(
    bot: Bot<GatewayConnection>,
    session: Session<GatewayConnection>,
    d: MembersRequest & { guild_id: string | string[]; nonce?: string | undefined },
  ): void {
    const extras = this.extras.get(session) ?? new Map<number, Extra>()
    this.extras.set(session, extras)
    for (const guildId of [d.guild_id].flat()) {
      const s = session.log.append(Kind.Extra, 0, this.clock.date().getTime())
      const retryAfterMs = bot.members.take(guildId, d, this.clock.now())
      extras.set(s, retryAfterMs === 0 ? membersChunk(guildId, d.nonce) : rateLimited(retryAfterMs, guildId, d.nonce))
    }
    // What the log has forgotten is never rendered again.
    for (const s of extras.keys()) if (s < session.log.first) extras.delete(s)
    session.connection?.pump()
  }

  drained(shard: ShardRecord<GatewayConnection>): void {
    this.onDrained?.(shard)
  }

  countClose(code: number): void {
    this.closes.set(code, (this.closes.get(code) ?? 0) + 1)
  }

  countOp(op: number): void {
    this.receivedOps.set(op, (this.receivedOps.get(op) ?? 0) + 1)
  }

  violation(
    bot: Bot<GatewayConnection> | undefined,
    kind: ViolationKind,
    detail: string,
    shard?: readonly [number, number],
  ): void {
    if (bot === undefined) this.anonymous.add(kind, detail, shard)
    else bot.rules.violation(kind, detail, shard)
  }

  /** Cuts every connection and stops the timer. */
  close(): void {
    this.#cancelSweep()
    this.owners.stop()
    this.#arrivals?.stop()
    for (const connection of this.connections) connection.drop()
    for (const socket of this.#hung) socket.destroy()
    this.#server.close()
  }

  #accept(request: IncomingMessage, socket: Duplex, head: Buffer, gatewayUrl: string): void {
    const query = connectionQuery(request.url ?? '/', gatewayUrl)
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      this.counts.connections += 1
      if (typeof query === 'number') {
        this.countClose(query)
        ws.close(query, CLOSE_REASONS[query])
        return
      }
      const connection = new GatewayConnection(this, ws, socket as Socket, query)
      this.connections.add(connection)
      if (!this.faults.takeSilentHello()) connection.send(this.#hello)
    })
  }

  #refuse(socket: Duplex, refusal: RefuseMode): void {
    this.counts.refused += 1
    socket.on('error', () => undefined)
    if (refusal === 'reset') {
      socket.destroy()
    } else if (refusal === 'hang') {
      this.#hung.add(socket)
      socket.once('close', () => this.#hung.delete(socket))
    } else {
      socket.end(`HTTP/1.1 ${refusal} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    }
  }

  /** One timer for 5,000 connections: silent clients and forgotten sessions need no better than this precision. */
  #sweepLater(): Cancel {
    const { heartbeatIntervalMs, sessionLifetimeMs } = this.settings.times
    const interval = Math.min(1000, heartbeatIntervalMs / 4, Math.max(10, sessionLifetimeMs / 4))
    return this.clock.after(interval, () => {
      this.#sweep()
      this.#cancelSweep = this.#sweepLater()
    })
  }

  *#ownerships(): Iterable<Ownership> {
    for (const { session, ownership } of this.connections) if (session && ownership) yield ownership
  }

  #sweep(): void {
    const deadline = this.clock.now() - this.settings.times.heartbeatIntervalMs * 1.5
    for (const connection of this.connections) {
      if (connection.closing || connection.lastBeat >= deadline) continue
      const shard = connection.session?.shard
      const where = shard === undefined ? undefined : ([shard.id, shard.total] as const)
      this.violation(connection.bot, 'heartbeat', 'no heartbeat for one and a half intervals', where)
      connection.close(CloseCode.SessionTimedOut)
    }
    for (const bot of this.bots.all()) bot.rules.sweep()
  }
}

/** Reads `?v=10&encoding=json&compress=...`; a close code when Discord would refuse it. */
function connectionQuery(url: string, gatewayUrl: string): ConnectionQuery | number {
  const query = new URL(url, 'http://gateway').searchParams
  const version = query.get('v') ?? ''
  if (!VERSIONS.has(version)) return CloseCode.InvalidVersion
  if ((query.get('encoding') ?? 'json') !== 'json') return CloseCode.DecodeError
  const compression = query.get('compress') || 'none'
  if (!isCompression(compression)) return CloseCode.DecodeError
  return { version: Number(version), compression, gatewayUrl }
}

function isCompression(value: string): value is TransportCompression {
  return value === 'none' || value === 'zlib-stream' || value === 'zstd-stream'
}

function membersChunk(guildId: string, nonce: string | undefined): Extra {
  const chunk = { members: [], guild_id: guildId, chunk_index: 0, chunk_count: 1 }
  return { t: 'GUILD_MEMBERS_CHUNK', d: { ...chunk, ...(nonce === undefined ? {} : { nonce }) } }
}

/** https://discord.com/developers/docs/events/gateway-events#rate-limited */
function rateLimited(retryAfterMs: number, guildId: string, nonce: string | undefined): Extra {
  const meta = { guild_id: guildId, ...(nonce === undefined ? {} : { nonce }) }
  return { t: 'RATE_LIMITED', d: { opcode: 8, retry_after: retryAfterMs / 1000, meta } }
}
