import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Outbox, type SendOutcome } from '../../../../sharder/shard/outbox.ts'
import { sendsPerWindow } from '../../../../sharder/shard/send-budget.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const WINDOW = 61_000
const never = new AbortController().signal

/** A shard that notes what leaves and when. */
class Shard {
  connected = true
  heartbeatInterval = 41_250
  readonly sent: { readonly at: number; readonly text: string }[] = []
  readonly #clock: VirtualClock

  constructor(clock: VirtualClock) {
    this.#clock = clock
  }

  transmit(text: string): boolean {
    if (this.connected) this.sent.push({ at: this.#clock.now(), text })
    return this.connected
  }
}

function world() {
  const clock = new VirtualClock()
  const shard = new Shard(clock)
  const outbox = new Outbox(shard, clock, WINDOW)
  const send = (text: string, withinMs = 0, signal = never) => outbox.send({ text, withinMs, signal })
  return { clock, shard, outbox, send }
}

/** The most that left in any span of one window. */
function fullest(times: readonly number[]): number {
  return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + WINDOW).length))
}

describe('what leaves in a window', () => {
  it('leaves room for two heartbeats where the timer says one', () => {
    expect(sendsPerWindow(60_000, 41_250)).toBe(116)
    expect(sendsPerWindow(WINDOW, 45_000)).toBe(116)
    expect(sendsPerWindow(WINDOW, 20_000)).toBe(112)
    expect(sendsPerWindow(WINDOW, 100)).toBe(1)
  })

  it('sends 116 at once, makes the next wait for the window, and refuses at once what cannot leave in time', async () => {
    const { clock, shard, send } = world()
    for (let i = 0; i < 116; i++) expect(await send(`${i}`)).toEqual({ sent: true, waitedMs: 0 })
    expect(await send('late', 60_999)).toMatchObject({ sent: false, code: 'SEND_LIMITED', retryAfterMs: WINDOW })
    const waits = send('waits', WINDOW)
    await clock.advance(WINDOW - 1)
    expect(shard.sent).toHaveLength(116)
    await clock.advance(1)
    expect(await waits).toEqual({ sent: true, waitedMs: WINDOW })
    expect(clock.pending).toBe(0)
  })
})

describe('a shard that is not connected', () => {
  it('is said to be that at once, and to what waited when its turn comes', async () => {
    const { clock, shard, send } = world()
    for (let i = 0; i < 116; i++) await send(`${i}`)
    const waits = send('waits', WINDOW)
    shard.connected = false
    expect(await send('now')).toMatchObject({ sent: false, code: 'NOT_CONNECTED' })
    await clock.advance(WINDOW)
    expect(await waits).toMatchObject({ sent: false, code: 'NOT_CONNECTED' })
    expect(shard.sent).toHaveLength(116)
  })

  it('spends nothing of its limit while it is away', async () => {
    const { shard, send } = world()
    shard.connected = false
    for (let i = 0; i < 500; i++) await send('x')
    shard.connected = true
    expect(await send('y')).toMatchObject({ sent: true })
  })
})

it('sends nothing of a request that was withdrawn, and those behind it move up', async () => {
  const { clock, shard, send, outbox } = world()
  for (let i = 0; i < 115; i++) await send(`${i}`)
  await clock.advance(1_000)
  await send('last')
  const gone = new AbortController()
  const [withdrawn, first, second] = [send('no', WINDOW, gone.signal), send('one', WINDOW), send('two', WINDOW)]
  gone.abort()
  expect(await withdrawn).toMatchObject({ sent: false, code: 'CLOSED' })
  expect(await send('never', 0, gone.signal)).toMatchObject({ sent: false, code: 'CLOSED' })
  expect(outbox.waiting).toBe(2)
  await clock.advance(WINDOW)
  expect([await first, await second]).toMatchObject([{ sent: true }, { sent: true }])
  expect(shard.sent.slice(-2).map(({ text }) => text)).toEqual(['one', 'two'])
})

it('answers what waits when the shard is released', async () => {
  const { clock, send, outbox } = world()
  for (let i = 0; i < 116; i++) await send(`${i}`)
  const waits = send('waits', WINDOW)
  outbox.close({ sent: false, code: 'NOT_ASSIGNED', message: 'released' })
  expect(await waits).toEqual({ sent: false, code: 'NOT_ASSIGNED', message: 'released' })
  expect(clock.pending).toBe(0)
})

it('refuses what waits at its deadline when a new connection beats faster and leaves less room', async () => {
  const { clock, shard, send } = world()
  for (let i = 0; i < 116; i++) {
    await send(`${i}`)
    await clock.advance(100)
  }
  const waits = send('waits', 50_000)
  shard.heartbeatInterval = 1_016
  await clock.advance(50_001)
  expect(await waits).toMatchObject({ sent: false, code: 'SEND_LIMITED' })
})

describe('whatever is asked, and whatever becomes of the connection', () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ sends: fc.integer({ min: 1, max: 60 }), withinMs: fc.integer({ min: 0, max: 65_000 }) }),
    },
    { weight: 4, arbitrary: fc.record({ waits: fc.integer({ min: 1, max: 40_000 }) }) },
    { weight: 1, arbitrary: fc.record({ connected: fc.boolean() }) },
  )

  it('no window holds more than the limit, order is kept, everything is answered in time and truthfully', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const { clock, shard, outbox, send } = world()
        const answers: { text: string; askedAt: number; at: number; withinMs: number; outcome: SendOutcome }[] = []
        let asked = 0
        for (const one of steps) {
          if ('waits' in one) await clock.advance(one.waits)
          else if ('connected' in one) shard.connected = one.connected
          else
            for (let i = 0; i < one.sends; i++) {
              const [text, askedAt, { withinMs }] = [`${asked++}`, clock.now(), one]
              void send(text, withinMs).then((outcome) =>
                answers.push({ text, askedAt, at: clock.now(), withinMs, outcome }),
              )
            }
          // Two windows of 61 s are more than any deadline spans.
          expect(outbox.waiting).toBeLessThanOrEqual(2 * 116)
        }
        await clock.advance(65_001)
        expect(fullest(shard.sent.map(({ at }) => at))).toBeLessThanOrEqual(116)
        expect(answers).toHaveLength(asked)
        expect(shard.sent.map(({ text }) => Number(text))).toEqual(
          shard.sent.map(({ text }) => Number(text)).sort((a, b) => a - b),
        )
        const left = new Set(shard.sent.map(({ text }) => text))
        for (const { text, askedAt, at, withinMs, outcome } of answers) {
          expect(outcome.sent).toBe(left.has(text))
          expect(at - askedAt).toBeLessThanOrEqual(withinMs + 1)
        }
        expect(clock.pending).toBe(0)
      }),
      { numRuns: 60 },
    )
  })

  it('whoever waits as long as he is told is sent at once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 130, maxLength: 140 }), async (gaps) => {
        const { clock, send } = world()
        for (const gap of gaps) {
          await clock.advance(gap)
          const outcome = await send('x')
          if (outcome.sent) continue
          await clock.advance(outcome.retryAfterMs ?? -1)
          expect(await send('again')).toEqual({ sent: true, waitedMs: 0 })
          return
        }
        throw new Error('nobody was refused')
      }),
      { numRuns: 60 },
    )
  })
})
