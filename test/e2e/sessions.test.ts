import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { openCluster } from '../support/cluster/cluster.ts'
import { type Counted, RATE, SessionsTrial, SHARDS } from './sessions-trial.ts'

/** Sessions outlive everything: with traffic flowing, each change costs no IDENTIFY and no event. */
const trial = new SessionsTrial(openCluster(inject('cluster')), inject('image'))

const COLUMNS = ['step', 's', 'IDENTIFYs', 'RESUMEs', 'events', 'lost', 'twice', 'longest gap ms', 'mean', 'owners']
const rows: string[][] = []

beforeAll(() => trial.install(), 400_000)

afterAll(async () => {
  process.stderr.write(`\n${SHARDS} shards, ${RATE} events a second\n${[COLUMNS, ...rows].map(line).join('\n')}\n\n`)
  await trial.remove()
}, 300_000)

const line = (cells: readonly string[]) =>
  cells
    .map((cell, i) => (i === 0 ? cell.padEnd(46) : cell.padStart(Math.max(7, (COLUMNS[i] ?? '').length + 2))))
    .join('')

/** Runs a change and judges it by both ends: what Discord took, and what the bot was given. */
async function step(name: string, change: (before: Counted) => Promise<void>): Promise<void> {
  const before = await trial.begin()
  const startedAt = performance.now()
  await change(before)
  const seconds = (performance.now() - startedAt) / 1000
  const { bot } = await trial.counted()
  const after = await trial.deliveredToTheLast()
  const spent = after.discord.identifies - before.discord.identifies
  const resumes = after.discord.resumes - before.discord.resumes
  const delivered = (key: 'events' | 'lost' | 'duplicates') => after.bot[key] - before.bot[key]
  // What a session that was given up had not delivered, the bot cannot know.
  const lost = spent > 0 ? `>=${delivered('lost')}` : delivered('lost')
  const gaps = Object.values(bot.shards).map(({ longestSilenceMs }) => longestSilenceMs)
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length
  const { most, breaches } = after.discord.owners
  rows.push(
    [name, seconds.toFixed(1), spent, resumes, delivered('events'), lost, delivered('duplicates')]
      .concat([Math.max(...gaps), Math.round(mean), most])
      .map(String),
  )
  const worst = bot.silences.slice(0, 5).map(({ shardId, milliseconds }) => `shard ${shardId} ${milliseconds} ms`)
  process.stderr.write(`${line(rows.at(-1) ?? [])}  ${worst.join(', ')}\n`)
  expect.soft(spent, 'IDENTIFYs spent').toBe(0)
  expect.soft(delivered('lost'), 'events lost').toBe(0)
  expect.soft(after.bot.unread, 'lines the bot end could not read').toBe(0)
  expect.soft(breaches.slice(before.discord.owners.breaches.length), 'two live owners').toEqual([])
  expect.soft(violations(after) - violations(before), JSON.stringify(after.discord.violationDetails)).toBe(0)
  expect.soft(resumes, 'a change that resumes nothing shows nothing').toBeGreaterThan(0)
}

const violations = ({ discord }: Counted) => Object.values(discord.violations).reduce((sum, n) => sum + n, 0)

/** Shards of the highest ordinal of two workers. */
const HALF = SHARDS / 2

it('starts with one IDENTIFY a shard', async () => {
  await trial.settled(3)
  const { discord } = await trial.deliveredToTheLast()
  expect(discord.identifies).toBe(SHARDS)
})

describe.each([
  { operator: '', killed: async () => {} },
  { operator: ', the operator killed meanwhile', killed: () => trial.killOperator() },
])('every shard keeps its session$operator', ({ operator, killed }) => {
  it('while workers are scaled from 3 to 5 to 2', async () => {
    await trial.scale(3)
    await trial.settled(3)
    await step(`scale 3 -> 5 -> 2${operator}`, async () => {
      await trial.scale(5)
      await killed()
      await trial.settled(5)
      await trial.scale(2)
      await killed()
      await trial.settled(2)
    })
  })

  it('while the image is changed, worker by worker', async () => {
    await step(`another image${operator}`, async () => {
      const image = await trial.renameImage()
      const renewed = async () => (await trial.pods()).filter(({ spec }) => spec.containers[0]?.image === image).length
      await expect.poll(renewed, { timeout: 120_000, interval: 500 }).toBeGreaterThan(0)
      await killed()
      await expect.poll(renewed, { timeout: 120_000, interval: 500 }).toBe(2)
      await trial.settled(2)
    })
  })

  it('when a pod is deleted by force', async () => {
    await step(`pod deleted by force${operator}`, async (before) => {
      const { metadata } = await trial.deletePod(1)
      await killed()
      const uid = async () => (await trial.pod(1).catch(() => undefined))?.metadata.uid ?? metadata.uid
      await expect.poll(uid, { timeout: 60_000, interval: 500 }).not.toBe(metadata.uid)
      await trial.cameBack(HALF, before)
      await trial.settled(2)
    })
  })

  it('when a sharder is killed by kill -9', async () => {
    const restarts = await trial.restarts(1)
    await step(`kill -9 of a sharder${operator}`, async (before) => {
      await trial.killSharder(1)
      await killed()
      await expect.poll(() => trial.restarts(1), { timeout: 60_000, interval: 500 }).toBe(restarts + 1)
      await trial.cameBack(HALF, before)
      await trial.settled(2)
    })
  })
})

it('after all of it each shard had one IDENTIFY, its first, and never two owners', async () => {
  const { discord, bot } = await trial.counted()
  process.stderr.write(`${discord.owners.samples} samples of owners, ${discord.owners.superseded} superseded\n`)
  expect(discord.identifies).toBe(SHARDS)
  expect(bot.sessions).toBe(SHARDS)
  expect(bot.lost).toBe(0)
  expect(discord.owners).toMatchObject({ most: 1, breaches: [] })
  expect(violations({ discord, bot })).toBe(0)
})
