import { Registry } from 'prom-client'
import { MockAgent } from 'undici'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ObjectClient } from '../../../operator/kube/apply.ts'
import { Fleets, type Managed } from '../../../operator/reconcile/fleets.ts'
import type { PodObject } from '../../../operator/reconcile/objects.ts'
import { Lanes } from '../../../src/manager/lanes.ts'
import { createManagerMetrics } from '../../../src/manager/metrics.ts'
import { createLogger } from '../../../src/support/logger.ts'
import { freePorts } from '../../support/apiserver/ports.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { cluster, pod, TOKEN, TRUST } from './world.ts'

const KEY = 'prod/bot'
const credentials = { token: TOKEN, restAuthorization: 'rest', key: undefined }
const managing = (pods: readonly PodObject[], change: Partial<Managed> = {}): Managed => ({
  ...{ credentials, key: { current: 'key' }, trust: TRUST, totalShards: 8, pods },
  ...change,
})
const running: PodObject[] = [0, 1].map((ordinal) => {
  const one = pod(ordinal)
  return { ...one, status: { ...one.status, podIP: '192.0.2.1' } }
})

let clock: VirtualClock
let network: MockAgent
let fleets: Fleets
beforeEach(() => {
  clock = new VirtualClock()
  network = new MockAgent()
  // Workers that are asked and never answer.
  network.disableNetConnect()
  network
    .get(/.*/)
    .intercept({ path: () => true })
    .reply(200, '')
    .delay(3_600_000)
    .persist()
  const logger = createLogger('test', 'silent')
  const random = () => 0.5
  fleets = new Fleets({
    clock,
    random,
    logger,
    lanes: new Lanes({ clock, random, logger, leadingSince: 0 }),
    dispatcher: network,
    client: new ObjectClient({ request: () => Promise.reject(new Error('no API server')) } as never, 'test'),
    metrics: createManagerMetrics(new Registry()),
    term: 1,
    onChange: () => {},
  })
})
afterEach(async () => {
  await fleets.stop()
  await network.close()
})

async function managed() {
  const [port = 0] = await freePorts(1)
  const one = cluster({ rest: { baseUrl: `http://127.0.0.1:${port}` } })
  fleets.manage(KEY, one, managing(running))
  return one
}
const settling = () => fleets.settling(KEY, fleets.get(KEY)?.fleet())
const problem = () => fleets.get(KEY)?.fleet().sessionProblem?.reason

describe('a fleet', () => {
  it('settles when its workers were heard, or after a while', async () => {
    expect(settling()).toBe(true)
    await managed()
    expect(settling()).toBe(true)
    // That there is no session info is an answer; the workers still owe theirs.
    await vi.waitFor(() => expect(problem()).toBe('RestProxyUnavailable'))
    expect(settling()).toBe(true)
    await clock.advance(16_000)
    expect(settling()).toBe(false)
  })

  it('settles at once where no worker runs and session info was answered', async () => {
    const one = await managed()
    fleets.manage(KEY, one, managing([pod(0, 'waiting')]))
    expect(settling()).toBe(true)
    await vi.waitFor(() => expect(problem()).toBeDefined())
    expect(settling()).toBe(false)
  })

  it('keeps its manager through everything that it can take over, and gets another for another set of shards', async () => {
    const one = await managed()
    const manager = fleets.get(KEY)
    expect(manager?.fleet().workers.map(({ name }) => name)).toEqual(['bot-8-0', 'bot-8-1'])
    fleets.manage(KEY, one, managing([], { credentials: { ...credentials, restAuthorization: 'another' } }))
    expect(fleets.get(KEY)).toBe(manager)
    fleets.manage(KEY, one, managing([], { totalShards: 16 }))
    expect(fleets.get(KEY)).not.toBe(manager)
    fleets.remove(KEY)
    expect(fleets.get(KEY)).toBeUndefined()
  })
})
