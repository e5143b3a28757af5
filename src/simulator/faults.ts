import type { ShardRecord } from './rules/index.ts'

/** Which shards a fault or command means. Nothing given: all of them. */
export interface ShardSelection {
  readonly shards?: readonly number[] | undefined
  readonly totalShards?: number | undefined
}

/** How a new connection is refused: the TCP connection cut, left without an answer, or an HTTP status. */
export type RefuseMode = 'reset' | 'hang' | number

/** What Get Gateway Bot and the other REST routes answer instead. */
export interface HttpFault {
  /** Undefined: the real answer, only late. */
  readonly status?: number | undefined
  readonly delayMs: number
  /** Sent as Retry-After with a 429, in seconds. */
  readonly retryAfter: number
}

interface Expiring<T> {
  readonly value: T
  readonly until: number
  left: number
}

/** What is broken on purpose right now. Each fault ends after a time, after a number of hits, or when it is cleared. */
export class Faults {
  readonly #now: () => number
  #refuse: Expiring<RefuseMode> | undefined
  #http: Expiring<HttpFault> | undefined
  #noHeartbeatAck: Expiring<ShardSelection> | undefined
  #silentHello: Expiring<true> | undefined
  #readyDelayMs = 0

  constructor(now: () => number) {
    this.#now = now
  }

  refuseConnects(mode: RefuseMode, limits: FaultLimits): void {
    this.#refuse = this.#expiring(mode, limits)
  }

  breakHttp(fault: HttpFault, limits: FaultLimits): void {
    this.#http = this.#expiring(fault, limits)
  }

  stopHeartbeatAcks(selection: ShardSelection, limits: FaultLimits): void {
    this.#noHeartbeatAck = this.#expiring(selection, limits)
  }

  silenceHello(limits: FaultLimits): void {
    this.#silentHello = this.#expiring(true, limits)
  }

  delayReady(milliseconds: number): void {
    this.#readyDelayMs = milliseconds
  }

  /** Milliseconds between IDENTIFY and READY. */
  get readyDelayMs(): number {
    return this.#readyDelayMs
  }

  /** Everything works again. */
  clear(): void {
    this.#refuse = this.#http = this.#noHeartbeatAck = this.#silentHello = undefined
    this.#readyDelayMs = 0
  }

  takeRefusal(): RefuseMode | undefined {
    return this.#hit(this.#refuse)
  }

  takeHttp(): HttpFault | undefined {
    return this.#hit(this.#http)
  }

  takeSilentHello(): boolean {
    return this.#hit(this.#silentHello) === true
  }

  swallowsHeartbeat<C>(shard: ShardRecord<C> | undefined): boolean {
    const selection = this.#noHeartbeatAck
    if (selection === undefined || !matches(selection.value, shard)) return false
    return this.#hit(selection) !== undefined
  }

  #expiring<T>(value: T, { milliseconds, count }: FaultLimits): Expiring<T> | undefined {
    if (milliseconds === 0 || count === 0) return undefined
    return {
      value,
      until: this.#now() + (milliseconds ?? Number.POSITIVE_INFINITY),
      left: count ?? Number.POSITIVE_INFINITY,
    }
  }

  #hit<T>(fault: Expiring<T> | undefined): T | undefined {
    if (fault === undefined || this.#now() >= fault.until || fault.left <= 0) return undefined
    fault.left -= 1
    return fault.value
  }
}

/** How long, or how often, a fault happens. Neither: until it is cleared. A zero ends it. */
export interface FaultLimits {
  readonly milliseconds?: number | undefined
  readonly count?: number | undefined
}

/** Whether `shard` (undefined: not identified yet) is meant by `selection`. */
export function matches<C>({ shards, totalShards }: ShardSelection, shard: ShardRecord<C> | undefined): boolean {
  if (shards === undefined && totalShards === undefined) return true
  if (shard === undefined) return false
  if (totalShards !== undefined && shard.total !== totalShards) return false
  return shards === undefined || shards.includes(shard.id)
}
