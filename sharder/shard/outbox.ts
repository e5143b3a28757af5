import type { FailureCode } from '../../src/protocol/failures.ts'
import type { Cancel, Clock } from '../../src/support/clock.ts'
import { SendBudget, sendsPerWindow } from './send-budget.ts'

/** What became of a payload. */
export type SendOutcome =
  | { readonly sent: true; readonly waitedMs: number }
  | { readonly sent: false; readonly code: FailureCode; readonly message: string; readonly retryAfterMs?: number }

/** The shard, as its outbox needs it. */
export interface OutboxShard {
  readonly connected: boolean
  readonly heartbeatInterval: number
  /** @returns whether it left. */
  transmit(text: string): boolean
}

/** A payload and how long it may wait. */
export interface Outgoing {
  /** JSON. */
  readonly text: string
  /** Milliseconds. */
  readonly withinMs: number
  /** Aborted: nobody waits for it any more, and it is not sent. */
  readonly signal: AbortSignal
}

interface Waiting {
  readonly text: string
  readonly askedAt: number
  readonly deadline: number
  readonly settle: (outcome: SendOutcome) => void
}

const notSent = (code: FailureCode, message: string, retryAfterMs?: number): SendOutcome => ({
  sent: false,
  code,
  message,
  ...(retryAfterMs !== undefined && { retryAfterMs }),
})

const LIMITED = "Discord's limit of 120 sends a minute and shard leaves no room for it in time; nothing was sent."
const UNCONNECTED = 'The shard is not connected; nothing was sent.'
const WITHDRAWN = notSent('CLOSED', 'The request was withdrawn before the payload was sent.')

/**
 * What a bot sends on one shard, first come first served, never beyond the send limit. What cannot leave before its
 * deadline is refused at once, so that no more waits than one or two windows let through. discordeno's own bucket does
 * neither: its queue has no end and no deadline, it keeps what is sent while the shard is away, and says nothing.
 */
export class Outbox {
  readonly #shard: OutboxShard
  readonly #clock: Clock
  readonly #windowMs: number
  readonly #budget: SendBudget
  #queue: Waiting[] = []
  #cancel: Cancel = () => {}

  /** `windowMs`: Discord's minute, in milliseconds. */
  constructor(shard: OutboxShard, clock: Clock, windowMs: number) {
    this.#shard = shard
    this.#clock = clock
    this.#windowMs = windowMs
    this.#budget = new SendBudget(windowMs)
  }

  /** Payloads that wait. */
  get waiting(): number {
    return this.#queue.length
  }

  /** Sends it, or says why not. Always resolves, at its deadline at the latest. */
  send({ text, withinMs, signal }: Outgoing): Promise<SendOutcome> {
    if (signal.aborted) return Promise.resolve(WITHDRAWN)
    if (!this.#shard.connected) return Promise.resolve(notSent('NOT_CONNECTED', UNCONNECTED))
    const now = this.#clock.now()
    const waitMs = this.#budget.freeAt(now, this.#capacity, this.#queue.length) - now
    if (waitMs > withinMs) return Promise.resolve(notSent('SEND_LIMITED', LIMITED, waitMs))
    return new Promise((resolve) => {
      const withdraw = () => {
        this.#queue = this.#queue.filter((other) => other !== waiting)
        waiting.settle(WITHDRAWN)
      }
      const waiting: Waiting = {
        ...{ text, askedAt: now, deadline: now + withinMs },
        settle: (outcome) => {
          signal.removeEventListener('abort', withdraw)
          resolve(outcome)
        },
      }
      signal.addEventListener('abort', withdraw, { once: true })
      this.#queue.push(waiting)
      this.#pump()
    })
  }

  /** The shard is gone: what waits is answered with `outcome`. */
  close(outcome: SendOutcome): void {
    this.#cancel()
    for (const { settle } of this.#queue.splice(0)) settle(outcome)
  }

  get #capacity(): number {
    return sendsPerWindow(this.#windowMs, this.#shard.heartbeatInterval)
  }

  #pump(): void {
    this.#cancel()
    for (let head = this.#queue[0]; head; head = this.#queue[0]) {
      const now = this.#clock.now()
      if (this.#budget.freeAt(now, this.#capacity, 0) > now) break
      this.#queue.shift()
      if (this.#shard.transmit(head.text)) {
        this.#budget.spend(now)
        head.settle({ sent: true, waitedMs: Math.round(now - head.askedAt) })
      } else head.settle(notSent('NOT_CONNECTED', UNCONNECTED))
    }
    this.#refuseLate()
    this.#pumpLater()
  }

  /** A prediction fails when a new connection beats faster than the one before. */
  #refuseLate(): void {
    const now = this.#clock.now()
    const late = this.#queue.filter(({ deadline }) => deadline < now)
    if (late.length === 0) return
    this.#queue = this.#queue.filter(({ deadline }) => deadline >= now)
    const waitMs = this.#budget.freeAt(now, this.#capacity, this.#queue.length) - now
    for (const { settle } of late) settle(notSent('SEND_LIMITED', LIMITED, waitMs))
  }

  #pumpLater(): void {
    if (this.#queue.length === 0) return
    const now = this.#clock.now()
    const next = this.#budget.freeAt(now, this.#capacity, 0)
    // A deadline that is met counts as met: only after it is it missed.
    const missed = Math.min(...this.#queue.map(({ deadline }) => deadline)) + 1
    this.#cancel = this.#clock.after(Math.min(next, missed) - now, () => this.#pump())
  }
}
