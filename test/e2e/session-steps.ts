import { expect } from 'vitest'
import { type Counted, RATE, type SessionsTrial, SHARDS } from './sessions-trial.ts'

const COLUMNS = ['step', 's', 'IDENTIFYs', 'RESUMEs', 'events', 'lost', 'twice', 'longest gap ms', 'mean', 'owners']

/** What a step must have done to the sessions. */
export interface Expected {
  /** 'none': the shards went on as if nothing happened. Default 'some': a change that resumes nothing shows nothing. */
  readonly resumes?: 'some' | 'none'
}

/** Changes of a trial, each judged by both ends: what Discord took, and what the bot was given. */
export class SessionSteps {
  readonly #trial: SessionsTrial
  readonly #rows: string[][] = []

  constructor(trial: SessionsTrial) {
    this.#trial = trial
  }

  /** Runs a change; it must have cost no IDENTIFY and no event, and no shard may have had two owners. */
  async step(name: string, change: (before: Counted) => Promise<void>, expected: Expected = {}): Promise<void> {
    const before = await this.#trial.begin()
    const startedAt = performance.now()
    await change(before)
    const seconds = (performance.now() - startedAt) / 1000
    const { bot } = await this.#trial.counted()
    const after = await this.#trial.deliveredToTheLast()
    this.#record(name, seconds, { before, after, bot })
    judge(before, after, expected)
  }

  /** The table of all steps. */
  print(): void {
    const table = [COLUMNS, ...this.#rows].map(line).join('\n')
    process.stderr.write(`\n${SHARDS} shards, ${RATE} events a second\n${table}\n\n`)
  }

  #record(
    name: string,
    seconds: number,
    { before, after, bot }: { before: Counted; after: Counted; bot: Counted['bot'] },
  ) {
    const spent = after.discord.identifies - before.discord.identifies
    const resumes = after.discord.resumes - before.discord.resumes
    const delivered = (key: 'events' | 'lost' | 'duplicates') => after.bot[key] - before.bot[key]
    // What a session that was given up had not delivered, the bot cannot know.
    const lost = spent > 0 ? `>=${delivered('lost')}` : delivered('lost')
    const gaps = Object.values(bot.shards).map(({ longestSilenceMs }) => longestSilenceMs)
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length
    this.#rows.push(
      [name, seconds.toFixed(1), spent, resumes, delivered('events'), lost, delivered('duplicates')]
        .concat([Math.max(...gaps), Math.round(mean), after.discord.owners.most])
        .map(String),
    )
    const worst = bot.silences.slice(0, 5).map(({ shardId, milliseconds }) => `shard ${shardId} ${milliseconds} ms`)
    process.stderr.write(`${line(this.#rows.at(-1) ?? [])}  ${worst.join(', ')}\n`)
  }
}

function judge(before: Counted, after: Counted, { resumes = 'some' }: Expected): void {
  expect.soft(after.discord.identifies - before.discord.identifies, 'IDENTIFYs spent').toBe(0)
  expect.soft(after.bot.lost - before.bot.lost, 'events lost').toBe(0)
  expect.soft(after.bot.unread, 'lines the bot end could not read').toBe(0)
  const { breaches } = after.discord.owners
  expect.soft(breaches.slice(before.discord.owners.breaches.length), 'two live owners').toEqual([])
  expect.soft(violationsOf(after) - violationsOf(before), JSON.stringify(after.discord.violationDetails)).toBe(0)
  const resumed = after.discord.resumes - before.discord.resumes
  if (resumes === 'some') expect.soft(resumed, 'a change that resumes nothing shows nothing').toBeGreaterThan(0)
  else expect.soft(resumed, 'RESUMEs').toBe(0)
}

export const violationsOf = ({ discord }: Counted): number =>
  Object.values(discord.violations).reduce((sum, n) => sum + n, 0)

const line = (cells: readonly string[]) =>
  cells
    .map((cell, i) => (i === 0 ? cell.padEnd(46) : cell.padStart(Math.max(7, (COLUMNS[i] ?? '').length + 2))))
    .join('')
