import { termOf } from '../../../../src/domain/epoch.ts'
import type { Range } from '../../../../src/domain/ranges.ts'
import { contains, shardsOf } from '../../../../src/domain/ranges.ts'
import type { Answer } from '../../../../src/manager/ports.ts'
import type {
  Assigned,
  AssignShards,
  Identified,
  IdentifyShard,
  Released,
  ReleaseShards,
} from '../../../../src/protocol/commands.ts'
import { type FailureCode, failure } from '../../../../src/protocol/failures.ts'
import { KEEPALIVE_MS, STATE_GATHER_MS } from '../../../../src/protocol/limits.ts'
import type { Assignment, StateRecord } from '../../../../src/protocol/state.ts'
import type { Cancel } from '../../../../src/support/clock.ts'
import type { VirtualClock } from '../../../support/virtual-clock.ts'
import type { SimDiscord } from './discord.ts'
import type { Random } from './random.ts'
import { SimShard } from './shard.ts'

export interface WorkerEnvironment {
  readonly cluster: string
  readonly ordinal: number
  readonly uid: string
  readonly reserve: number
  readonly clock: VirtualClock
  readonly random: Random
  readonly discord: SimDiscord
  /** Judges: a worker begins to hold a shard, or is told to give one up. */
  readonly onHold: (shardId: number) => void
  readonly onRelease: (shardId: number) => void
  /** Longest time from IDENTIFY to READY, in milliseconds. */
  readonly readyMs: number
  /** Part of the connections that fail. */
  readonly faults: { connectFails: number }
}

/** Withdrawn when the request that carries it is given up: then no IDENTIFY is sent any more. */
export class Permit {
  revoked = false
  onRevoke: () => void = () => {}
  epoch = 0
  readonly grantedAt: number

  constructor(grantedAt: number) {
    this.grantedAt = grantedAt
  }

  revoke(): void {
    if (this.revoked) return
    this.revoked = true
    this.onRevoke()
  }
}

export type Subscriber = (record: StateRecord | 'END' | 'BROKEN') => void

/** A small faithful sharder: what src/protocol says, without sockets and events. One process life after another. */
export class SimWorker {
  readonly env: WorkerEnvironment
  readonly shards = new Map<number, SimShard>()
  alive = true
  draining = false
  bootId: string
  epoch = 0
  assignment: Assignment | undefined
  readonly permits = new Set<Permit>()
  /** Called when the process dies: every connection to it breaks. */
  readonly onDeath = new Set<() => void>()
  readonly #subscribers = new Set<Subscriber>()
  readonly #changed = new Set<number>()
  #gathering: Cancel | undefined
  #keepalive: Cancel | undefined
  #boots = 0

  constructor(env: WorkerEnvironment) {
    this.env = env
    this.bootId = `${env.uid}/${this.#boots}`
    this.#beat()
  }

  assign(command: Omit<AssignShards, 'type'>): Answer<Assigned> {
    const { epoch, totalShards, first, last, withhold, gateway, sessions } = command
    this.env.discord.trace(`${this.env.uid}: ASSIGN ${epoch} ${first}-${last} without ${JSON.stringify(withhold)}`)
    const refused = this.#refuse(epoch)
    if (refused) return refused
    this.#obey(epoch)
    const known = new Map(sessions.map((session) => [session.shardId, session]))
    this.assignment = { totalShards, first, last, withhold, gateway }
    for (const shardId of shardsOf({ first, last })) {
      if (withheld(withhold, shardId)) continue
      const shard = this.shards.get(shardId)
      if (shard) {
        if (shard.state === 'Offline') shard.revive()
        continue
      }
      this.env.onHold(shardId)
      const added = new SimShard(this, shardId, totalShards)
      this.shards.set(shardId, added)
      this.changed(shardId)
      const session = known.get(shardId)
      if (session?.totalShards === totalShards) added.resume(session.sessionId)
    }
    return { ok: true, value: { assigned: true, epoch, first, last } }
  }

  identify(command: Omit<IdentifyShard, 'type'>, permit: Permit): Promise<Answer<Identified>> {
    const epoch = command.epoch ?? this.epoch
    this.env.discord.trace(`${this.env.uid}: IDENTIFY ${epoch} ${command.shardId} in ${command.slotInMs} ms`)
    const refused = this.#refuse(epoch)
    if (refused) return Promise.resolve(refused)
    this.epoch = epoch
    const { assignment } = this
    const shard = this.shards.get(command.shardId)
    if (!shard || !assignment || !contains(assignment, shard.id) || withheld(assignment.withhold, shard.id))
      return Promise.resolve(refusal('NOT_ASSIGNED', `shard ${command.shardId} is not assigned to this worker`))
    permit.epoch = epoch
    return shard.identify(command.slotInMs, permit)
  }

  /** Closes at once and answers once the sinks have confirmed: the state stream may say so first. */
  async release(command: Omit<ReleaseShards, 'type'>): Promise<Answer<Released>> {
    this.env.discord.trace(`${this.env.uid}: RELEASE ${command.epoch} ${command.shardIds}`)
    const refused = this.#refuse(command.epoch)
    if (refused) return refused
    this.#obey(command.epoch)
    const released = command.shardIds.filter((shardId) => this.shards.has(shardId))
    for (const shardId of released) this.env.onRelease(shardId)
    const sessions = released.flatMap((shardId) => this.shards.get(shardId)?.end() ?? [])
    for (const shardId of released) {
      this.shards.delete(shardId)
      this.changed(shardId)
    }
    const { clock, random } = this.env
    await new Promise<void>((resolve) => clock.after(random.int(0, 100), resolve))
    return { ok: true, value: { released, sessions } }
  }

  /** Hands over a snapshot at once, then deltas. */
  subscribe(subscriber: Subscriber): Cancel {
    subscriber(this.#snapshot())
    this.#subscribers.add(subscriber)
    return () => this.#subscribers.delete(subscriber)
  }

  /** Streams break, for instance in the network; the process goes on. */
  breakStreams(): void {
    for (const subscriber of [...this.#subscribers]) subscriber('BROKEN')
    this.#subscribers.clear()
  }

  /** The process dies without a word. */
  crash(): void {
    this.env.discord.trace(`${this.env.uid}: dies`)
    this.alive = false
    this.#keepalive?.()
    this.#gathering?.()
    this.#gathering = undefined
    for (const shard of this.shards.values()) shard.end()
    this.shards.clear()
    this.breakStreams()
    for (const dies of [...this.onDeath]) dies()
    this.onDeath.clear()
    this.permits.clear()
  }

  /** Another process in the same pod: it knows nothing. */
  boot(): void {
    this.alive = true
    this.draining = false
    this.bootId = `${this.env.uid}/${++this.#boots}`
    this.epoch = 0
    this.assignment = undefined
    this.#changed.clear()
    this.#beat()
  }

  /** SIGTERM: close every shard, say the last word. */
  drain(): void {
    this.draining = true
    const sessions = [...this.shards.values()].flatMap((shard) => shard.end())
    this.shards.clear()
    this.#emit({ type: 'DELTA', shards: [], gone: [], draining: true })
    this.#emit({ type: 'DRAINED', sessions })
    for (const subscriber of [...this.#subscribers]) subscriber('END')
    this.#subscribers.clear()
  }

  /** State changes are gathered a little before they are streamed. */
  changed(shardId?: number): void {
    if (shardId !== undefined) this.#changed.add(shardId)
    this.#gathering ??= this.env.clock.after(STATE_GATHER_MS, () => this.#flush())
  }

  #flush(): void {
    this.#gathering = undefined
    const shardIds = [...this.#changed]
    this.#changed.clear()
    const shards = shardIds.flatMap((shardId) => this.shards.get(shardId)?.record() ?? [])
    const gone = shardIds.filter((shardId) => !this.shards.has(shardId))
    this.#emit({ type: 'DELTA', shards, gone, epoch: this.epoch })
  }

  #emit(record: StateRecord): void {
    for (const subscriber of [...this.#subscribers]) subscriber(record)
  }

  #beat(): void {
    this.#keepalive = this.env.clock.after(KEEPALIVE_MS, () => {
      this.#emit({ type: 'DELTA', shards: [], gone: [] })
      this.#beat()
    })
  }

  #snapshot(): StateRecord {
    return {
      type: 'SNAPSHOT',
      workerId: this.env.ordinal,
      bootId: this.bootId,
      epoch: this.epoch,
      ...(this.assignment && { assignment: this.assignment }),
      draining: this.draining,
      sinks: [],
      shards: [...this.shards.values()].map((shard) => shard.record()),
    }
  }

  #refuse(epoch: number): Answer<never> | undefined {
    if (this.draining) return refusal('DRAINING', 'this worker is going away')
    if (epoch < this.epoch) return refusal('STALE_EPOCH', `epoch ${epoch} is older than ${this.epoch}`)
    return undefined
  }

  /** A new leader begins: what its predecessor permitted and was not used yet is void. */
  #obey(epoch: number): void {
    this.epoch = epoch
    for (const permit of [...this.permits]) if (termOf(permit.epoch) < termOf(epoch)) permit.revoke()
    this.changed()
  }
}

export const refusal = (code: FailureCode, message: string, more = {}): Answer<never> => ({
  ok: false,
  failure: failure(code, message, more),
})

const withheld = (ranges: readonly Range[], shardId: number): boolean =>
  ranges.some((range) => contains(range, shardId))
