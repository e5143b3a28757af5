import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SHARDER_PORT } from '../../../operator/manifests/pod.ts'
import { type SampleBot, startSampleBot } from '../../../src/local/sample-bot.ts'
import { metricsOf, RECORDED } from '../../support/prometheus/scrape.ts'
import { ROOT } from '../crd-server.ts'
import { SharderProcess } from './sharder-process.ts'
import { type Bot, eventually, metricOf, type Operator, type OperatorWorld, startWorldOf } from './world.ts'

/**
 * What operator and sharder show after a start and a hand-over. The documentation's recorded
 * scrapes are held against it; SHARDCLUSTER_RECORD=1 records them anew.
 */

let world: OperatorWorld<SharderProcess>
let bot: Bot
let sink: SampleBot
let operator: Operator
let sharder: string
beforeAll(async () => {
  world = await startWorldOf((start) => SharderProcess.start(start))
  sink = await startSampleBot({ host: '127.0.0.1', port: 0, authorization: 'events-key' })
  operator = await world.operator()
  bot = await world.bot()
  await bot.secret({ 'events-authorization': 'events-key' })
  await bot.create((spec) => {
    spec['events'] = [{ name: 'bot', http: { url: `${sink.url}/`, authorizationSecretRef: { name: 'bot' } } }]
  })
  await bot.wait('Ready', 'True', 90)
  await bot.kubectl('scale', 'shc/bot', '--replicas=3')
  await eventually(async () => expect(await bot.held()).toHaveLength(3))
  await bot.wait('Progressing', 'False')
  await bot.wait('Ready')
  await eventually(async () => {
    const ip = await bot.kubectl('get', 'pod/bot-8-1', '--output=jsonpath={.status.podIP}')
    sharder = `http://${ip}:${SHARDER_PORT}`
    expect((await metricOf(sharder, 'shardcluster_worker_shards')).get('{state="Connected"}')).toBe(3)
  })
})
afterAll(async () => {
  await world?.close()
  await sink?.close()
})

/** The labels of the ShardCluster, and those that are given. */
const of = (labels = '') => `{cluster="${bot.namespace}/bot"${labels && `,${labels}`}}`
const value = async (name: string, labels?: string) => (await operator.metric(name)).get(of(labels))

describe('the operator shows', () => {
  it('the shards of each ShardCluster by state', async () => {
    await eventually(async () => expect(await value('shardcluster_shards', 'state="Connected"')).toBe(8))
    for (const state of ['Unidentified', 'Identifying', 'Resuming', 'Misplaced', 'Offline'])
      expect(await value('shardcluster_shards', `state="${state}"`), state).toBe(0)
    expect(await value('shardcluster_shards_desired')).toBe(8)
    expect([await value('shardcluster_workers_desired'), await value('shardcluster_workers_connected')]).toEqual([3, 3])
  })

  it('why shards identified, and how long they waited for their slot', async () => {
    expect(await value('shardcluster_identifies_total', 'cause="New",result="READY"')).toBe(8)
    expect(await value('shardcluster_identify_wait_seconds_count')).toBe(8)
    // A new leader waits a window before its first.
    expect(await value('shardcluster_identify_wait_seconds_sum')).toBeGreaterThan(0)
  })

  it('the daily budget, as Discord counts it', async () => {
    const total = (await value('shardcluster_identify_budget_limit')) ?? 0
    expect(total).toBe(25_000)
    expect(await value('shardcluster_identify_budget_remaining')).toBe(total - bot.discord().identifies)
    expect(await value('shardcluster_identify_budget_reserve')).toBe(100)
    expect(await value('shardcluster_max_concurrency')).toBe(16)
  })

  it('the conditions, each with its reason', async () => {
    const conditions = await bot.conditions()
    for (const [type, { status, reason }] of Object.entries(conditions)) {
      const shown = await value('shardcluster_condition', `type="${type}",reason="${reason}"`)
      expect(shown, type).toBe(status === 'True' ? 1 : 0)
    }
  })

  it('what controller-runtime shows, under its names', async () => {
    const controller = '{controller="shardcluster",result="success"}'
    expect((await operator.metric('controller_runtime_reconcile_total')).get(controller)).toBeGreaterThan(0)
    expect((await operator.metric('workqueue_adds_total')).get('{name="shardcluster"}')).toBeGreaterThan(0)
    expect([...(await operator.metric('leader_election_master_status')).values()]).toEqual([1])
    expect([...(await operator.metric('rest_client_requests_total')).keys()].join()).toContain('code="200"')
  })
})

describe('a worker shows', () => {
  it('its shards by state, what it resumed and why, and what its sinks took', async () => {
    const shown = async (name: string) => Object.fromEntries(await metricOf(sharder, `shardcluster_worker_${name}`))
    expect(await shown('identifies_total')).toEqual({ '{result="READY"}': 4 })
    // It gave three of its four away, and got the two below its own.
    expect(await shown('resumes_total')).toEqual({ '{cause="handover",result="RESUMED"}': 2 })
    expect(await shown('gateway_closes_total')).toEqual({ '{code="4000"}': 3 })
    expect([...(await metricOf(sharder, 'shardcluster_worker_sink_events_total')).keys()]).toEqual(['{sink="bot"}'])
    expect((await metricOf(sharder, 'shardcluster_worker_thread_event_loop_delay_seconds')).size).toBe(1)
  })
})

describe.each(['operator', 'sharder'] as const)('the recorded scrape of the %s', (program) => {
  it('has the very metrics that it shows, with their types, labels and help', async () => {
    const scrape = await (await fetch(`${program === 'operator' ? operator.url : sharder}/metrics`)).text()
    if (process.env['SHARDCLUSTER_RECORD']) {
      mkdirSync(dirname(RECORDED[program]), { recursive: true })
      writeFileSync(RECORDED[program], scrape)
    }
    const shown = metricsOf(scrape)
    const recorded = metricsOf(readFileSync(RECORDED[program], 'utf8'))
    const text = ({ name, type, help }: (typeof shown)[number]) => `${name} (${type}): ${help}`
    expect(recorded.map(text), 'record them anew: SHARDCLUSTER_RECORD=1').toEqual(shown.map(text))
    for (const { name, labels } of shown) {
      const known = recorded.find((metric) => metric.name === name)?.labels
      if (labels && known) expect(known, name).toEqual(labels)
    }
  })

  it('is documented, metric by metric', async () => {
    const page = readFileSync(join(ROOT, 'docs', 'metrics.md'), 'utf8')
    const scrape = await (await fetch(`${program === 'operator' ? operator.url : sharder}/metrics`)).text()
    // Those of prom-client are many, and are described as a whole.
    const own = metricsOf(scrape).filter(({ name }) => !/^(process|nodejs)_/.test(name))
    expect(own.length).toBeGreaterThan(10)
    for (const { name } of own) expect(page, 'run "npm run gen"').toContain(`| \`${name}\` |`)
  })
})
