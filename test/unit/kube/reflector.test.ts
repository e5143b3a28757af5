import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import type { ApiCall, ApiStream, Transport } from '../../../operator/kube/call.ts'
import { ExpiredError, UnavailableError } from '../../../operator/kube/errors.ts'
import { Reflector } from '../../../operator/kube/reflector.ts'
import { pods } from '../../../operator/kube/resources.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

type Watching = (call: ApiCall) => ApiStream

const broken = (code?: number) => () => {
  throw new UnavailableError({ call: 'GET pods', message: 'injected', ...(code ? { code } : {}) })
}

/** A stream that stays open until it is closed. */
function silent(clock: VirtualClock, ended: number[]): Watching {
  return () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const close = () => {
      ended.push(clock.now())
      resolve()
    }
    const body = {
      async *[Symbol.asyncIterator]() {
        await promise
        yield* []
      },
    }
    return { body, close, abandon: close }
  }
}

/** A reflector of Pods whose lists succeed and whose watches do what `watching` says; time is virtual. */
function scripted(clock: VirtualClock, watching: Watching, page?: (call: ApiCall) => unknown) {
  const calls: string[] = []
  const transport: Transport = {
    async request<T>(call: ApiCall): Promise<T> {
      calls.push(`list@${clock.now()}`)
      return (page?.(call) ?? { metadata: { resourceVersion: `${calls.length}` }, items: [] }) as T
    },
    async stream(call) {
      calls.push(`watch ${call.query?.['resourceVersion']}@${clock.now()}`)
      return watching(call)
    },
  }
  const logger = pino({ level: 'silent' })
  const reflector = new Reflector({ transport, resource: pods, namespace: 'ns', clock, random: () => 0, logger })
  const stop = new AbortController()
  return { calls, reflector, stop, running: reflector.run(stop.signal) }
}

describe('Reflector', () => {
  it('never lists again while the server does not answer, and waits 0.8 s doubling to 30 s', async () => {
    const clock = new VirtualClock()
    const { calls, stop, running } = scripted(clock, broken())
    await clock.advance(90_000)
    const times = calls.slice(1).map((call) => Number(call.split('@')[1]) / 1_000)
    expect(times).toEqual([0, 0.8, 2.4, 5.6, 12, 24.8, 50.4, 80.4])
    expect(calls.filter((call) => call.startsWith('list'))).toHaveLength(1)
    stop.abort()
    await running
    expect(clock.pending).toBe(0)
  })

  it('suspects its version and lists again when the server answers five watches with errors', async () => {
    const clock = new VirtualClock()
    const { calls, stop, running } = scripted(clock, broken(500))
    await clock.advance(25_000)
    expect(calls.map((call) => call.split('@')[0])).toEqual(['list', ...Array(5).fill('watch 1'), 'list', 'watch 7'])
    stop.abort()
    await running
  })

  it('closes a watch that outlives its agreed time by 5 s, and opens the next at once', async () => {
    const clock = new VirtualClock()
    const ended: number[] = []
    const { calls, stop, running } = scripted(clock, silent(clock, ended))
    await clock.advance(305_000)
    expect(ended[0]).toBe(305_000)
    expect(calls).toEqual(['list@0', 'watch 1@0', 'watch 1@305000'])
    stop.abort()
    await clock.advance(305_000)
    await running
    expect(clock.pending).toBe(0)
  })

  it('treats a watch that ends at once without an event as a failure, not as an invitation to hammer', async () => {
    const clock = new VirtualClock()
    const empty = { body: { async *[Symbol.asyncIterator]() {} }, close: () => undefined, abandon: () => undefined }
    const { calls, stop, running } = scripted(clock, () => empty)
    await clock.advance(60_000)
    expect(calls.length).toBeLessThan(10)
    stop.abort()
    await running
  })

  it('falls back to one unpaged list when the snapshot expires between pages', async () => {
    const clock = new VirtualClock()
    const limits: unknown[] = []
    const { reflector, stop, running } = scripted(clock, silent(clock, []), ({ query }) => {
      limits.push(query?.['limit'])
      if (query?.['continue']) throw new ExpiredError({ call: 'GET pods', code: 410, message: 'expired' })
      const rest = query?.['limit'] === undefined ? {} : { continue: 'token' }
      return { metadata: { resourceVersion: '9', ...rest }, items: [] }
    })
    await clock.advance(1)
    expect(reflector.hasSynced).toBe(true)
    expect(limits).toEqual([500, 500, undefined])
    stop.abort()
    await clock.advance(400_000)
    await running
  })

  it('refuses to run twice at once', async () => {
    const clock = new VirtualClock()
    const { reflector, stop, running } = scripted(clock, broken())
    await expect(reflector.run(stop.signal)).rejects.toThrow('runs already')
    stop.abort()
    await running
  })
})
