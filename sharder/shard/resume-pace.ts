import { type Clock, sleep } from '../../src/support/clock.ts'

/** How resumes are spread. Times in milliseconds. */
export interface PaceRules {
  /** Connections that are lost within this long are lost together. */
  readonly together: number
  /** Fewer than this are no mass: each resumes at once. */
  readonly few: number
  /** The window in which a mass resumes grows by this with each shard. */
  readonly perShard: number
  /** No window is longer: far below what is left of a session's life. */
  readonly longest: number
}

export const RESUME_PACE: PaceRules = { together: 5_000, few: 5, perShard: 20, longest: 15_000 }

/**
 * Whether the end of a live connection says something about Discord's node rather than about this connection. Op 7, no
 * close frame at all (1005, 1006), the codes of a server or a proxy that restarts (1000, 1001, 1011, 1012 ...) and
 * Discord's "unknown error" (4000) do; a payload or a pace it did not like (4001 to 4008) and a session it does not know
 * do not. What this side closed (a zombie, a release) is no news of the peer: zombies are found spread over a heartbeat.
 */
export function isNodeLoss({ code, byUs, reconnectAsked }: NodeLoss): boolean {
  if (reconnectAsked) return true
  return !byUs && code <= 4000
}

/** How a live connection ended, as far as isNodeLoss asks. */
export interface NodeLoss {
  readonly code: number
  readonly byUs: boolean
  /** Op 7. */
  readonly reconnectAsked: boolean
}

/** The window in which so many shards resume. */
export function windowOf(lost: number, rules: PaceRules): number {
  return lost < rules.few ? 0 : Math.min(rules.longest, lost * rules.perShard)
}

/** Connections that were lost together. Both grow no more once `together` has passed. */
export interface Mass {
  readonly startedAt: number
  readonly lost: number
}

/**
 * When a shard of a mass resumes. Full jitter: `share`, uniform in [0, 1) and drawn once, is its place in a window that
 * still grows while others are lost. Never later than `latest`: a session that is half spent goes first.
 */
export function resumeAt(share: number, { startedAt, lost }: Mass, latest: number, rules: PaceRules): number {
  return Math.min(startedAt + share * windowOf(lost, rules), latest)
}

/** A shard's place among those that were lost with it. */
export interface Turn {
  /** Resolves when it has come, at `latest` in any case, or when `signal` aborts. It moves back while more are lost. */
  come(latest: number, signal: AbortSignal): Promise<void>
}

/**
 * Tells a mass disconnect of a thread's shards from single ones. When Discord restarts a node, hundreds of connections
 * end within seconds; resumed all at once they would find its other nodes, and this thread's handshakes, all at once too.
 */
export class ResumePace {
  readonly #clock: Clock
  readonly #random: () => number
  readonly #rules: PaceRules
  #mass = { startedAt: Number.NEGATIVE_INFINITY, lost: 0 }

  constructor(clock: Clock, random: () => number, rules = RESUME_PACE) {
    this.#clock = clock
    this.#random = random
    this.#rules = rules
  }

  /** A shard's live connection was lost with its node, now. */
  lost(): Turn {
    const now = this.#clock.now()
    if (now - this.#mass.startedAt > this.#rules.together) this.#mass = { startedAt: now, lost: 0 }
    const mass = this.#mass
    mass.lost++
    const share = this.#random()
    const left = (latest: number) => resumeAt(share, mass, latest, this.#rules) - this.#clock.now()
    return {
      come: async (latest, signal) => {
        while (!signal.aborted && left(latest) > 0) await sleep(this.#clock, left(latest), signal)
      },
    }
  }
}
