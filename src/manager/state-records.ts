import { setImmediate as othersTurn } from 'node:timers/promises'
import { z } from 'zod'
import { FROM_WORKERS } from '../limits.ts'
import { type StateRecord, stateRecordSchema } from '../protocol/state.ts'
import type { Clock } from '../support/clock.ts'
import { foreignText } from '../support/text.ts'
import { LineReader } from './line-reader.ts'
import { StreamBudget } from './stream-budget.ts'
import { lineBytes, WorkerBoundError } from './worker-bounds.ts'

export interface StreamBounds {
  readonly clock: Clock
  /** How many shards the worker may hold now. */
  readonly shards: () => number
  readonly signal: AbortSignal
}

/**
 * Hands over each record of a state stream (newline-delimited JSON). After a few of them every other ShardCluster has its
 * turn: one that streams a lot must not keep the slots of the others waiting.
 * Not node:readline, which swallows how its input ends: a worker that dies would end the manager's process.
 * @throws WorkerBoundError when the worker says what none would; Error when the stream breaks.
 */
export async function readRecords(
  body: AsyncIterable<Buffer>,
  onRecord: (record: StateRecord) => void,
  { clock, shards, signal }: StreamBounds,
): Promise<void> {
  const lines = new LineReader()
  const budget = new StreamBudget(clock)
  const turns = new Turns()
  for await (const part of body) {
    const mayHold = shards()
    budget.piece(part.length, mayHold)
    for (const line of lines.linesOf(part, lineBytes(mayHold))) {
      budget.record()
      onRecord(recordOf(line, mayHold))
      if (!turns.over(line)) continue
      await othersTurn()
      signal.throwIfAborted()
    }
  }
  if (lines.unfinished) throw new Error('the worker ended its state stream in the middle of a record')
}

/** Says when it is the others' turn. */
class Turns {
  #records = 0
  #characters = 0

  over(line: string): boolean {
    this.#records++
    this.#characters += line.length
    if (this.#records < FROM_WORKERS.recordsAtOnce && this.#characters < FROM_WORKERS.charactersAtOnce) return false
    this.#records = 0
    this.#characters = 0
    return true
  }
}

/** A line of a worker that may hold so many shards. @throws WorkerBoundError when it is no record. */
export function recordOf(line: string, shards: number): StateRecord {
  let json: unknown
  try {
    json = JSON.parse(line)
  } catch {
    throw new WorkerBoundError('Record', 'the worker streamed something that is not JSON')
  }
  checkLengths(json, shards)
  const record = stateRecordSchema.safeParse(json)
  if (record.success) return record.data
  // The first few: a record of thousands of shards may have as many issues.
  const why = z.prettifyError(new z.ZodError(record.error.issues.slice(0, 3)))
  throw new WorkerBoundError(
    'Record',
    `the worker streamed something that is no state record: ${foreignText(why, 300)}`,
  )
}

/** Before the schema looks at each item: what it would say of 100,000 wrong ones takes more memory than they do. */
function checkLengths(json: unknown, shards: number): void {
  if (typeof json !== 'object' || json === null) return
  for (const key of ['shards', 'gone', 'sessions'] as const) {
    const items = (json as Record<string, unknown>)[key]
    if (Array.isArray(items) && items.length > shards)
      throw new WorkerBoundError('Claim', `the worker named ${items.length} ${key}, and may hold ${shards} shards`)
  }
}
