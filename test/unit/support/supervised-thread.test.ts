import { pino } from 'pino'
import { afterEach, describe, expect, it } from 'vitest'
import { PING_MS, PINGS_UNANSWERED, SupervisedThread } from '../../../src/support/supervised-thread.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const open: SupervisedThread[] = []
afterEach(async () => {
  for (const thread of open.splice(0)) await thread.close()
})

/** Waits in real time for what another thread does. */
const until = (is: () => boolean) => expect.poll(is, { timeout: 15_000, interval: 10 }).toBe(true)

async function aThread(start = 'first') {
  const clock = new VirtualClock()
  const logged: string[] = []
  const questions: unknown[] = []
  const aborted: unknown[] = []
  const events: string[] = []
  const thread = new SupervisedThread({
    ...{ name: 'odd', script: new URL('./threads/odd-thread.ts', import.meta.url), clock, random: () => 0 },
    data: (ready) => ({ start: ready === undefined ? start : `after ${ready}` }),
    limits: { maxOldGenerationSizeMb: 24 },
    logger: pino({ level: 'info' }, { write: (line: string) => void logged.push(line) }),
    answer: async (question, signal) => {
      questions.push(question)
      signal.addEventListener('abort', () => aborted.push(question))
      return question === 'how are you?' ? 'well' : new Promise(() => {})
    },
    onEnded: () => void events.push('ended'),
    onRestarted: () => void events.push('restarted'),
  })
  open.push(thread)
  return { thread, clock, logged, questions, aborted, events, ready: await thread.start() }
}

/** It ends, waits for its time, and is up again, able to ask. */
async function comesBack({ thread, clock, events, questions, logged }: Awaited<ReturnType<typeof aThread>>) {
  await until(() => events.includes('ended'))
  expect(logged.join('')).toContain('a thread ended: it is started again')
  expect(events).toEqual(['ended'])
  await clock.advance(100)
  await until(() => events.includes('restarted'))
  questions.length = 0
  thread.tell('ask')
  await until(() => questions.length === 2)
  expect(questions).toEqual(['how are you?', { heard: 'well' }])
}

describe('SupervisedThread', () => {
  it('says what the thread said when it was up, and answers what it asks', async () => {
    const { thread, questions, ready } = await aThread()
    expect(ready).toBe('started first')
    thread.tell('ask')
    await until(() => questions.length === 2)
    expect(questions).toEqual(['how are you?', { heard: 'well' }])
  })

  it('rejects with the reason of a thread that cannot start', async () => {
    await expect(aThread('unable')).rejects.toMatchObject({ message: 'no port for me', code: 'EADDRINUSE' })
  })

  it.each(['throw', 'eat'])(
    'starts one again that ends by itself (%s), and takes back what it had asked',
    async (how) => {
      const world = await aThread()
      const { thread, questions, aborted } = world
      thread.tell('ask')
      await until(() => questions.length === 2)
      thread.tell(how)
      await comesBack(world)
      expect(aborted).toEqual([{ heard: 'well' }])
    },
  )

  it('is not held up by one that loops for ever: it is ended when it does not answer, and started again', async () => {
    const world = await aThread()
    const { thread, clock, events, logged } = world
    for (let pings = 0; pings < 3 * PINGS_UNANSWERED; pings++) {
      await clock.advance(PING_MS)
      // Its answer comes from another thread, in real time.
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect(events).toEqual([])
    thread.tell('loop')
    await clock.advance(PINGS_UNANSWERED * PING_MS)
    expect(events).toEqual([])
    await clock.advance(PING_MS)
    expect(logged.join('')).toContain('a thread does not answer')
    await comesBack(world)
  })

  it('waits longer each time one ends at once', async () => {
    const { thread, clock, events } = await aThread()
    for (const waitMs of [50, 100, 200]) {
      events.length = 0
      thread.tell('throw')
      await until(() => events.includes('ended'))
      await clock.advance(waitMs - 1)
      const pending = clock.pending
      await clock.advance(1)
      expect(clock.pending).toBe(pending)
      await until(() => events.includes('restarted'))
    }
  })

  it('starts none again once it is closed', async () => {
    const { thread, clock, events } = await aThread()
    await thread.close()
    await clock.advance(60_000)
    expect(events).toEqual([])
    expect(clock.pending).toBe(0)
  })
})
