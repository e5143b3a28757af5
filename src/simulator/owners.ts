import type { Cancel, Clock } from '../support/clock.ts'
import { CLOSE_REASONS, type ShardRecord } from './rules/index.ts'

type Shard = Pick<ShardRecord<unknown>, 'id' | 'total'>

/** What one connection owns since it was given its session. */
export interface Ownership {
  readonly applicationId: string
  readonly shard: Shard
  /** Neither side has said close, and the socket is open. */
  readonly live: boolean
  /** Its connection is over, or its session is. */
  end(): void
  /** A RESUME takes the session away; the connection is closed for it. */
  superseded(): void
  /** The WebSocket is closed: what the client said last. */
  closed(code: number, reason: string): void
}

/**
 * A time in which one shard had more than one live owner. `seen`: the sockets were open side by side. `evicted`: a
 * RESUME took the session from a connection whose client was there to answer the close.
 */
export interface OwnerBreach {
  readonly kind: 'seen' | 'evicted'
  readonly applicationId: string
  /** `[id, total]`. */
  readonly shard: readonly [number, number]
  /** The most at once. */
  owners: number
  /** ISO times of the first and the last sample that showed it. */
  readonly firstAt: string
  lastAt: string
}

/** What the whole series of samples says. */
export interface OwnerStats {
  readonly samples: number
  /** The most live owners of one shard of one set that any sample saw. */
  readonly most: number
  /** RESUMEs that came while Discord still believed the old connection to be alive; most of those were half-open. */
  readonly superseded: number
  /** The newest ones, oldest first. */
  readonly breaches: readonly OwnerBreach[]
}

/** How often all connections are counted, in milliseconds. */
const CENSUS_MS = 200
const KEPT = 100

/**
 * Watches the promise the whole project is about: each shard of a set has at most one live session owner, at any time.
 * It samples the shard whenever a connection is given its session or ends, and all sockets at a steady pace; the two
 * have nothing in common, so that an error in the bookkeeping of one shows in the other.
 *
 * A breach is two open sockets that were both given a session of the same shard (READY or RESUMED, the same session or
 * not). No breach is a RESUME whose older connection Discord closes at that moment: after kill -9, or behind a cut
 * cable, the older one is half-open and nobody is there. Whether somebody was shows a moment later: only a living client
 * answers the close frame with the very words it was sent. Then two processes held the shard, and that is a breach too.
 *
 * The rule `doubleOwner` (a violation) is Discord's side of it: it judges sessions, once, when an IDENTIFY or RESUME is
 * taken. This one judges sockets, all the time, and adds no violation.
 */
export class OwnerWatch {
  readonly #clock: Clock
  readonly #sockets: () => Iterable<Ownership>
  readonly #owners = new Map<Shard, Set<Ownership>>()
  /** Breaches that the last sample of their shard still showed. */
  readonly #open = new Map<Shard, OwnerBreach>()
  #breaches: OwnerBreach[] = []
  #samples = 0
  #most = 0
  #superseded = 0
  #cancel: Cancel

  /** `sockets`: every connection that was given a session, as the server has them. */
  constructor(clock: Clock, sockets: () => Iterable<Ownership>) {
    this.#clock = clock
    this.#sockets = sockets
    this.#cancel = this.#censusLater()
  }

  /** An IDENTIFY or a RESUME was taken on a connection that is up for as long as `live` says so. */
  take(applicationId: string, shard: Shard, live: () => boolean): Ownership {
    let superseded = false
    const ownership: Ownership = {
      applicationId,
      shard,
      get live() {
        return live()
      },
      end: () => this.#left(ownership),
      superseded: () => {
        superseded = true
        if (live()) this.#superseded += 1
      },
      closed: (code, reason) => {
        // A client that was closing by itself has words of its own.
        if (superseded && CLOSE_REASONS[code] === reason) this.#evicted(ownership)
      },
    }
    const owners = this.#owners.get(shard) ?? new Set()
    this.#owners.set(shard, owners.add(ownership))
    this.#sample(ownership)
    return ownership
  }

  stats(): OwnerStats {
    const breaches = this.#breaches.map((breach) => ({ ...breach }))
    return { samples: this.#samples, most: this.#most, superseded: this.#superseded, breaches }
  }

  stop(): void {
    this.#cancel()
  }

  #left(owner: Ownership): void {
    const owners = this.#owners.get(owner.shard)
    if (owners?.delete(owner) !== true) return
    this.#sample(owner)
    if (owners.size === 0) this.#owners.delete(owner.shard)
  }

  /** There was somebody: no half-open connection answers. */
  #evicted({ applicationId, shard }: Ownership): void {
    this.#most = Math.max(this.#most, 2)
    this.#keep(this.#breach('evicted', applicationId, shard, 2))
  }

  #sample({ applicationId, shard }: Ownership): void {
    this.#samples += 1
    let live = 0
    for (const owner of this.#owners.get(shard) ?? []) if (owner.live) live += 1
    this.#judge(applicationId, shard, live)
    if (live < 2) this.#open.delete(shard)
  }

  #censusLater(): Cancel {
    return this.#clock.after(CENSUS_MS, () => {
      this.#census()
      this.#cancel = this.#censusLater()
    })
  }

  #census(): void {
    this.#samples += 1
    const counts = new Map<Shard, number>()
    for (const { shard, live, applicationId } of this.#sockets()) {
      if (!live) continue
      const count = (counts.get(shard) ?? 0) + 1
      counts.set(shard, count)
      this.#judge(applicationId, shard, count)
    }
    for (const shard of this.#open.keys()) if ((counts.get(shard) ?? 0) < 2) this.#open.delete(shard)
  }

  #judge(applicationId: string, shard: Shard, live: number): void {
    this.#most = Math.max(this.#most, live)
    if (live < 2) return
    const open = this.#open.get(shard)
    if (open === undefined) {
      const breach = this.#breach('seen', applicationId, shard, live)
      this.#open.set(shard, breach)
      this.#keep(breach)
    } else {
      open.owners = Math.max(open.owners, live)
      open.lastAt = this.#clock.date().toISOString()
    }
  }

  #breach(kind: OwnerBreach['kind'], applicationId: string, { id, total }: Shard, owners: number): OwnerBreach {
    const at = this.#clock.date().toISOString()
    return { kind, applicationId, shard: [id, total], owners, firstAt: at, lastAt: at }
  }

  #keep(breach: OwnerBreach): void {
    this.#breaches.push(breach)
    if (this.#breaches.length > KEPT) this.#breaches.shift()
  }
}
