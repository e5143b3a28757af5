import { backoffDelay } from '../../src/support/backoff.ts'
import { isDubious } from './after-close.ts'
import type { AttemptEnded } from './attempt.ts'
import type { ShardSummary } from './summary.ts'
import type { ShardTimings } from './timings.ts'

/** What a shard did in this process before, when its thread had to be replaced. */
export type ShardHistory = Pick<ShardSummary, 'identifies' | 'resumes' | 'recovering' | 'identifiedAt'>

/** What came of a shard's connections in this process. */
export class ConnectionLog {
  #identifiedAt: number | undefined
  #identifies: number
  #resumes: number
  #recovering: boolean
  #lastClose: { readonly code: number; readonly reason: string } | undefined
  /** Connections in a row that did not last. */
  #failures = 0
  #dubiousBefore = false

  constructor(history: ShardHistory | undefined) {
    this.#identifiedAt = history?.identifiedAt
    this.#identifies = history?.identifies ?? 0
    this.#resumes = history?.resumes ?? 0
    this.#recovering = history?.recovering ?? false
  }

  /** When this process sent its last IDENTIFY. */
  get identifiedAt(): number | undefined {
    return this.#identifiedAt
  }

  get lastClose(): { readonly code: number; readonly reason: string } | undefined {
    return this.#lastClose
  }

  /** The connection before the one that ended last closed with 4003 or 4005 too. */
  get dubiousBefore(): boolean {
    return this.#dubiousBefore
  }

  identifySent(at: number): void {
    this.#identifies++
    this.#identifiedAt = at
  }

  resumeSent(): void {
    this.#resumes++
  }

  /** READY or RESUMED came. */
  live(): void {
    this.#recovering = true
  }

  /** A connection ended at `now`. One that lived for `healthy` milliseconds starts the back-off over. */
  ended({ code, reason, liveAt }: AttemptEnded, now: number, healthy: number): void {
    const lived = liveAt === undefined ? 0 : now - liveAt
    this.#failures = lived >= healthy ? 1 : this.#failures + 1
    this.#lastClose = { code, reason: reason.slice(0, 200) }
  }

  /** Remembers whether what ended last was dubious; after its consequences were drawn. */
  judged({ code, byUs }: AttemptEnded): void {
    this.#dubiousBefore = isDubious(code) && !byUs
  }

  /** There is no session any more: whatever failed is no reason to wait. */
  startOver(): void {
    this.#failures = 0
  }

  /** How long to wait before the next connection, in milliseconds. */
  backoff({ backoffBase, backoffCap }: ShardTimings, random: () => number): number {
    if (this.#failures === 0) return 0
    return backoffDelay(this.#failures, { baseMs: backoffBase, capMs: backoffCap, random })
  }

  /** Its part of a summary. */
  get summary(): Pick<ShardSummary, 'identifies' | 'resumes' | 'recovering' | 'identifiedAt' | 'closeCode' | 'reason'> {
    const [identifiedAt, lastClose] = [this.#identifiedAt, this.#lastClose]
    return {
      identifies: this.#identifies,
      resumes: this.#resumes,
      recovering: this.#recovering,
      ...(identifiedAt !== undefined && { identifiedAt }),
      ...(lastClose !== undefined && { closeCode: lastClose.code, reason: lastClose.reason }),
    }
  }
}
