import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { openCluster } from '../support/cluster/cluster.ts'
import { disclosures } from './disclosures.ts'
import { SessionSteps, violationsOf } from './session-steps.ts'
import { SessionsTrial, SHARDS } from './sessions-trial.ts'

const CRD = join(import.meta.dirname, '..', '..', 'crds', 'shardcluster.yaml')

/** Sessions outlive everything: with traffic flowing, each change costs no IDENTIFY and no event. */
const cluster = openCluster(inject('cluster'))
const PLACE = { namespace: 'sessions-test', fullname: 'sessions' }
const trial = new SessionsTrial(cluster, inject('image'), PLACE)

const steps = new SessionSteps(trial)
const step = steps.step.bind(steps)

beforeAll(async () => {
  await cluster.kubectl(['apply', '--filename', CRD])
  await trial.install()
}, 400_000)

afterAll(async () => {
  steps.print()
  await trial.remove()
}, 300_000)

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
  expect(violationsOf({ discord, bot })).toBe(0)
})

it('has shown no token and no key to anybody, nor what a Secret held that was neither', async () => {
  await trial.misuseSecrets()
  expect(await disclosures(cluster, PLACE.namespace, trial.nodes)).toEqual([])
})
