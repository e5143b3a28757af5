import type { Cancel, Clock } from '../support/clock.ts'
import type { GatewayConnection } from './connection.ts'
import { eventCycle } from './events.ts'
import { matches, type ShardSelection } from './faults.ts'
import type { Gateway } from './gateway.ts'
import { Kind } from './payloads.ts'
import type { ShardRecord } from './rules/index.ts'

type Shard = ShardRecord<GatewayConnection>

const TICK_MS = 50
/** Where many events come they come more often, so that they do not come in heaps. */
const QUICK_TICK_MS = 5
const MANY_A_SECOND = 5_000
/** Most events generated for one shard before others get their turn. */
const LARGEST_BATCH = 128
/** How much of a late tick is made up for: a process that was stopped does not flood its clients afterwards. */
const LONGEST_CATCH_UP_MS = 1000

/**
 * Events for the shards: a steady rate over all of them, and bursts as fast as a socket takes them. An event belongs
 * to a shard and goes to each of its sessions, live or resumable; a shard without any session has no events.
 */
export class Traffic {
  readonly #gateway: Gateway
  readonly #clock: Clock
  readonly #bursts = new Map<Shard, number>()
  readonly #feeding = new Set<Shard>()
  /** Half the replay buffer at most: a batch must not push out of the log what was not sent yet. */
  readonly #largestBatch: number
  #rate = 0
  #owed = 0
  #ticked = 0
  #next = 0
  #cancel: Cancel | undefined
  #stopped = false

  constructor(gateway: Gateway, eventsPerSecond: number) {
    this.#gateway = gateway
    this.#clock = gateway.clock
    this.#largestBatch = Math.max(1, Math.min(LARGEST_BATCH, Math.floor(gateway.settings.replayBuffer / 2)))
    gateway.onDrained = (shard) => this.#feedSoon(shard)
    this.setRate(eventsPerSecond)
  }

  /** Events per second over all shards. */
  get rate(): number {
    return this.#rate
  }

  setRate(eventsPerSecond: number): void {
    this.#rate = eventsPerSecond
    this.#cancel?.()
    this.#cancel = undefined
    this.#owed = 0
    if (eventsPerSecond === 0 || this.#stopped) return
    this.#ticked = this.#clock.now()
    this.#tickLater()
  }

  /** `count` events for each selected shard that has a session; returns how many shards that is. */
  burst(selection: ShardSelection, count: number): number {
    const shards = this.#shardsWithSession().filter((shard) => matches(selection, shard))
    for (const shard of shards) {
      this.#bursts.set(shard, (this.#bursts.get(shard) ?? 0) + count)
      this.#feedSoon(shard)
    }
    return shards.length
  }

  /** Burst events not generated yet, because the sockets have not taken them. */
  get burstsLeft(): number {
    return [...this.#bursts.values()].reduce((sum, left) => sum + left, 0)
  }

  stop(): void {
    this.#stopped = true
    this.setRate(0)
    this.#bursts.clear()
  }

  #tickLater(): void {
    this.#cancel = this.#clock.after(this.#rate < MANY_A_SECOND ? TICK_MS : QUICK_TICK_MS, () => {
      this.#tick()
      this.#tickLater()
    })
  }

  #tick(): void {
    const now = this.#clock.now()
    this.#owed += (this.#rate * Math.min(now - this.#ticked, LONGEST_CATCH_UP_MS)) / 1000
    this.#ticked = now
    const shards = this.#shardsWithSession()
    const due = Math.floor(this.#owed)
    this.#owed -= due
    if (shards.length === 0) return
    // Each shard has its share at once: a write for each event would be most of what it costs.
    for (let i = 0; i < Math.min(due, shards.length); i += 1) {
      const shard = shards[(this.#next + i) % shards.length]
      const share = Math.ceil((due - i) / shards.length)
      if (shard !== undefined) this.#generate(shard, share)
    }
    this.#next = (this.#next + due) % shards.length
  }

  #generate(shard: Shard, count: number): void {
    for (let left = count; left > 0; left -= this.#largestBatch) {
      const at = this.#clock.date().getTime()
      for (let i = Math.min(left, this.#largestBatch); i > 0; i -= 1) generate(shard, at)
      for (const { connection } of shard.sessions) connection?.pump()
    }
  }

  #shardsWithSession(): Shard[] {
    const shards: Shard[] = []
    for (const bot of this.#gateway.bots.all()) {
      for (const shard of bot.rules.sessions.shards()) if (shard.sessions.size > 0) shards.push(shard)
    }
    return shards
  }

  #feedSoon(shard: Shard): void {
    if (!this.#bursts.has(shard) || this.#feeding.has(shard)) return
    this.#feeding.add(shard)
    setImmediate(() => {
      this.#feeding.delete(shard)
      this.#feed(shard)
    })
  }

  /** One batch, if a connection can take it; a drained connection, or a new one, asks for the next. */
  #feed(shard: Shard): void {
    const left = this.#bursts.get(shard) ?? 0
    const connections = [...shard.sessions].flatMap(({ connection }) => connection ?? [])
    if (left === 0 || connections.length === 0 || connections.some((connection) => connection.behind)) return
    const batch = Math.min(left, this.#largestBatch)
    if (batch === left) this.#bursts.delete(shard)
    else this.#bursts.set(shard, left - batch)
    this.#generate(shard, batch)
    this.#feedSoon(shard)
  }
}

/** One event for `shard`: logged in each of its sessions whose intents ask for it. */
function generate(shard: Shard, at: number): void {
  let n = 0
  for (const session of shard.sessions) {
    const cycle = eventCycle(session.intents)
    if (cycle.length === 0) continue
    // Counted only when somebody gets it, and once however many sessions do.
    if (n === 0) n = ++shard.counter
    session.log.append(Kind.FirstEvent + (cycle[n % cycle.length] ?? 0), n, at)
  }
}
