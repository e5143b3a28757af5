import { pino } from 'pino'
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import {
  Controller,
  type ControllerOptions,
  done,
  type Reconcile,
  requeueAfter,
  TerminalError,
} from '../../../operator/kube/controller.ts'
import { createKubeMetrics } from '../../../operator/kube/metrics.ts'
import { WorkQueue } from '../../../operator/kube/workqueue.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

function controllerOf(reconcile: Reconcile, extra: Partial<ControllerOptions> = {}) {
  const clock = new VirtualClock()
  const registry = new Registry()
  const metrics = createKubeMetrics(registry)
  const queue = new WorkQueue({ name: 'c', clock, metrics })
  const stop = new AbortController()
  const logger = pino({ level: 'silent' })
  const controller = new Controller({ name: 'c', queue, reconcile, workers: 3, clock, logger, metrics, ...extra })
  const running = controller.run(stop.signal)
  const value = async (line: string) => {
    const found = (await registry.metrics()).split('\n').find((text) => text.startsWith(`${line} `))
    return found === undefined ? undefined : Number(found.slice(line.length + 1))
  }
  return { clock, queue, stop, running, value }
}

describe('Controller', () => {
  it('reconciles different keys at once, but one key never twice at once', async () => {
    const active = new Map<string, number>()
    let most = 0
    let mostOfOne = 0
    const release: (() => void)[] = []
    const { clock, queue, stop, running } = controllerOf(async (key) => {
      active.set(key, (active.get(key) ?? 0) + 1)
      most = Math.max(
        most,
        [...active.values()].reduce((sum, count) => sum + count),
      )
      mostOfOne = Math.max(mostOfOne, active.get(key) ?? 0)
      await new Promise<void>((resolve) => release.push(resolve))
      active.set(key, (active.get(key) ?? 0) - 1)
      return done
    })
    for (let round = 0; round < 20; round += 1) {
      for (const key of ['ns/a', 'ns/b', 'ns/c', 'ns/d']) queue.add(key)
      await clock.advance(0)
      release.shift()?.()
    }
    stop.abort()
    await clock.advance(0)
    for (const end of release) end()
    await running
    expect([most, mostOfOne]).toEqual([3, 1])
  })

  it('retries an error with back-off, but not a terminal one', async () => {
    const runs: string[] = []
    const { clock, queue, value } = controllerOf(async (key) => {
      runs.push(`${key}@${clock.now()}`)
      if (key === 'ns/bad') throw new TerminalError('the token is wrong')
      if (runs.length < 5) throw new Error('not yet')
      return done
    })
    queue.add('ns/a')
    await clock.advance(1_000)
    expect(runs).toEqual(['ns/a@0', 'ns/a@5', 'ns/a@15', 'ns/a@35', 'ns/a@75'])
    queue.add('ns/bad')
    await clock.advance(600_000)
    expect(runs).toHaveLength(6)
    expect(await value('controller_runtime_reconcile_errors_total{controller="c"}')).toBe(5)
    expect(await value('controller_runtime_terminal_reconcile_errors_total{controller="c"}')).toBe(1)
    expect(await value('controller_runtime_reconcile_total{controller="c",result="error"}')).toBe(5)
    expect(await value('controller_runtime_reconcile_total{controller="c",result="success"}')).toBe(1)
    expect(await value('workqueue_retries_total{name="c"}')).toBe(4)
  })

  it('starts the back-off over after a success', async () => {
    const at: number[] = []
    const { clock, queue } = controllerOf(async () => {
      at.push(clock.now())
      if (at.length !== 4) throw new Error('not yet')
      return done
    })
    queue.add('a')
    await clock.advance(10_000)
    queue.add('a')
    await clock.advance(7)
    expect(at).toEqual([0, 5, 15, 35, 10_000, 10_005])
  })

  it('looks again after the time the outcome names', async () => {
    const at: number[] = []
    const { clock, queue, value } = controllerOf(async () => {
      at.push(clock.now())
      return at.length < 3 ? requeueAfter(10_000, 'waiting for the budget') : done
    })
    queue.add('a')
    await clock.advance(60_000)
    expect(at).toEqual([0, 10_000, 20_000])
    expect(await value('controller_runtime_reconcile_total{controller="c",result="requeue_after"}')).toBe(2)
  })

  it('survives and counts a bug, thrown before or after the first await', async () => {
    const runs: string[] = []
    const { clock, queue, value } = controllerOf((key) => {
      runs.push(key)
      if (runs.length === 1) throw new TypeError('x is not a function')
      if (runs.length === 2) return Promise.reject('a string')
      return Promise.resolve(done)
    })
    queue.add('a')
    await clock.advance(1_000)
    expect(runs).toHaveLength(3)
    expect(await value('controller_runtime_reconcile_panics_total{controller="c"}')).toBe(2)
    expect(await value('controller_runtime_active_workers{controller="c"}')).toBe(0)
  })

  it('aborts a reconcile that takes too long and counts it', async () => {
    const { clock, queue, value } = controllerOf(
      (_key, signal) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      { timeoutMs: 30_000 },
    )
    queue.add('a')
    await clock.advance(30_000)
    expect(await value('controller_runtime_reconcile_timeouts_total{controller="c"}')).toBe(1)
    expect(await value('controller_runtime_reconcile_errors_total{controller="c"}')).toBe(1)
  })

  it('aborts the reconciles in progress on stop, waits for them, and drops the rest', async () => {
    const ended: string[] = []
    const { clock, queue, stop, running } = controllerOf(async (key, signal) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      ended.push(key)
      throw signal.reason
    })
    for (const key of ['a', 'b', 'c', 'd', 'e']) queue.add(key)
    await clock.advance(0)
    stop.abort()
    await running
    expect(ended).toEqual(['a', 'b', 'c'])
    expect(clock.pending).toBe(0)
  })
})
