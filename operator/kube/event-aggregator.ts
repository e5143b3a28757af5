import { remember } from './lru.ts'

/** What tells two events apart: events equal in all of this are one event that happened several times. */
export interface EventIdentity {
  readonly regardingUid: string
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly action: string
  readonly note: string
}

/** Milliseconds. client-go's numbers: 25 events at once, then one per 300 s for each object. */
export const EVENT_LIMITS = { windowMs: 600_000, burst: 25, refillMs: 300_000, remembered: 4_096 }
export type EventLimits = typeof EVENT_LIMITS

/**
 * `create`: the first of its kind. `series`: the event written before happened `count` times by now. `suppress`: over
 * the object's limit; it is counted, and the next series update that passes tells the total.
 */
export type EventDecision =
  | { readonly kind: 'create'; readonly key: string }
  | { readonly kind: 'series'; readonly key: string; readonly count: number }
  | { readonly kind: 'suppress' }

interface Occurrences {
  count: number
  lastAt: number
  written: boolean
}

interface Allowance {
  tokens: number
  filledAt: number
}

/**
 * Decides which events are worth a write. Pure but for its memory, which is bounded: the oldest entries go first.
 * Times are monotonic milliseconds.
 */
export class EventAggregator {
  readonly #limits: EventLimits
  readonly #occurrences = new Map<string, Occurrences>()
  readonly #allowances = new Map<string, Allowance>()

  constructor(limits: EventLimits = EVENT_LIMITS) {
    this.#limits = limits
  }

  observe(event: EventIdentity, now: number): EventDecision {
    const key = JSON.stringify([event.regardingUid, event.type, event.reason, event.action, event.note])
    const known = this.#occurrences.get(key)
    const recent = known && now - known.lastAt <= this.#limits.windowMs ? known : undefined
    const seen = { count: (recent?.count ?? 0) + 1, lastAt: now, written: recent?.written ?? false }
    remember(this.#occurrences, key, seen, this.#limits.remembered)
    if (!this.#allowed(event.regardingUid, now)) return { kind: 'suppress' }
    const isFirst = !seen.written
    seen.written = true
    return isFirst ? { kind: 'create', key } : { kind: 'series', key, count: seen.count }
  }

  /** The written event is gone (events live an hour): the next of its kind is a new one. */
  forget(key: string): void {
    this.#occurrences.delete(key)
  }

  #allowed(uid: string, now: number): boolean {
    const { burst, refillMs, remembered } = this.#limits
    const { tokens, filledAt } = this.#allowances.get(uid) ?? { tokens: burst, filledAt: now }
    const filled = Math.min(burst, tokens + (now - filledAt) / refillMs)
    const allowed = filled >= 1
    remember(this.#allowances, uid, { tokens: allowed ? filled - 1 : filled, filledAt: now }, remembered)
    return allowed
  }
}
