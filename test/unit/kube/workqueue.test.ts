import fc from 'fast-check'
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { createKubeMetrics } from '../../../operator/kube/metrics.ts'
import { WorkQueue } from '../../../operator/kube/workqueue.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

function queueOf() {
  const clock = new VirtualClock()
  const registry = new Registry()
  return { clock, registry, queue: new WorkQueue({ name: 'q', clock, metrics: createKubeMetrics(registry) }) }
}

/** What a schedule of the property test does; keys are small numbers, so that they collide. */
const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('add' as const), key: fc.nat(3) }),
    fc.record({ do: fc.constant('addAfter' as const), key: fc.nat(3), ms: fc.nat(50) }),
    fc.record({ do: fc.constant('fail' as const), key: fc.nat(3) }),
    fc.record({ do: fc.constant('take' as const) }),
    fc.record({ do: fc.constant('done' as const), pick: fc.nat(3) }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.nat(60) }),
  ),
  { maxLength: 60 },
)

describe('WorkQueue', () => {
  it('never gives a key to two workers at once and never loses the last add', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (schedule) => {
        const { clock, queue } = queueOf()
        const held = new Set<string>()
        /** Keys that were wanted after their last hand-out. */
        const wanted = new Set<string>()
        const receive = (key: string | undefined) => {
          if (key === undefined) return
          expect(held).not.toContain(key)
          held.add(key)
          wanted.delete(key)
        }
        let waiting = 0
        for (const step of schedule) {
          if (step.do === 'add') {
            wanted.add(`k${step.key}`)
            queue.add(`k${step.key}`)
          } else if (step.do === 'addAfter') {
            wanted.add(`k${step.key}`)
            queue.addAfter(`k${step.key}`, step.ms)
          } else if (step.do === 'fail') {
            wanted.add(`k${step.key}`)
            queue.addRateLimited(`k${step.key}`)
          } else if (step.do === 'take') {
            waiting += 1
            queue.take().then((key) => {
              waiting -= 1
              receive(key)
            })
          } else if (step.do === 'done') {
            const key = [...held][step.pick % Math.max(1, held.size)]
            if (key !== undefined) {
              held.delete(key)
              queue.done(key)
            }
          } else await clock.advance(step.ms)
          await clock.advance(0)
        }
        // Let every worker finish and every delay pass: then nothing that was wanted may be missing.
        for (const key of held) queue.done(key)
        held.clear()
        await clock.advance(400_000)
        for (let rounds = 0; rounds < 20 && (queue.length > 0 || held.size > 0); rounds += 1) {
          for (const key of held) queue.done(key)
          held.clear()
          if (queue.length > 0 && waiting === 0) receive(await queue.take())
          await clock.advance(0)
        }
        expect([...wanted]).toEqual([])
      }),
      { numRuns: 300 },
    )
  })

  it('coalesces adds, keeps their order, and hands a key out again when it was added during work', async () => {
    const { queue } = queueOf()
    for (const key of ['a', 'b', 'a', 'a']) queue.add(key)
    expect(queue.length).toBe(2)
    expect(await queue.take()).toBe('a')
    queue.add('a')
    queue.add('a')
    expect(await queue.take()).toBe('b')
    expect(queue.length).toBe(0)
    queue.done('a')
    expect(await queue.take()).toBe('a')
    queue.done('a')
    queue.done('b')
    expect(queue.length).toBe(0)
  })

  it('keeps the earliest of several delays', async () => {
    const { clock, queue } = queueOf()
    queue.addAfter('a', 500)
    queue.addAfter('a', 100)
    queue.addAfter('a', 300)
    await clock.advance(99)
    expect(queue.length).toBe(0)
    await clock.advance(1)
    expect(queue.length).toBe(1)
    expect(await queue.take()).toBe('a')
    queue.done('a')
    await clock.advance(1_000)
    expect(queue.length).toBe(0)
  })

  it('doubles the delay of a failing key from 5 ms to 5 minutes and starts over after forget', async () => {
    const { clock, queue } = queueOf()
    const delays: number[] = []
    for (let failure = 0; failure < 18; failure += 1) {
      const before = clock.now()
      queue.addRateLimited('a')
      const taken = queue.take()
      let at = -1
      taken.then(() => {
        at = clock.now()
      })
      while (at < 0) await clock.advance(failure < 12 ? 5 : 20)
      delays.push(at - before)
      queue.done('a')
    }
    expect(delays.slice(0, 5)).toEqual([5, 10, 20, 40, 80])
    expect(delays[15]).toBeGreaterThanOrEqual(163_840)
    expect(delays[17]).toBe(300_000)
    expect(queue.retriesOf('a')).toBe(18)
    queue.forget('a')
    queue.addRateLimited('a')
    await clock.advance(5)
    expect(queue.length).toBe(1)
  })

  it('lets 100 retries through at once and then 10 a second, whatever their keys', async () => {
    const { clock, queue } = queueOf()
    for (let index = 0; index < 150; index += 1) queue.addRateLimited(`k${index}`)
    await clock.advance(50)
    expect(queue.length).toBe(100)
    await clock.advance(2_450)
    expect(queue.length).toBe(125)
    await clock.advance(2_500)
    expect(queue.length).toBe(150)
  })

  it('ends waiting workers on shut-down, leaves no timer, and takes no more keys', async () => {
    const { clock, queue } = queueOf()
    const waiting = queue.take()
    queue.addAfter('late', 1_000)
    queue.shutDown()
    expect(await waiting).toBeUndefined()
    expect(clock.pending).toBe(0)
    queue.add('after')
    expect(queue.length).toBe(0)
    expect(await queue.take()).toBeUndefined()
  })

  it('shows work that hangs in the metrics', async () => {
    const { clock, queue, registry } = queueOf()
    queue.add('a')
    await queue.take()
    await clock.advance(42_000)
    const text = await registry.metrics()
    expect(text).toContain('workqueue_longest_running_processor_seconds{name="q"} 42')
    expect(text).toContain('workqueue_unfinished_work_seconds{name="q"} 42')
    expect(text).toContain('workqueue_adds_total{name="q"} 1')
  })
})
