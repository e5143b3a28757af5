import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { HealthAnswer, HealthQuestion } from '../../../operator/kube/health.ts'
import { newServer } from '../../../operator/kube/probe-server.ts'
import { FROM_PROBES } from '../../../src/limits.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

let clock: VirtualClock
let server: Server
let asked: HealthQuestion[]
/** What the main loop answers. */
let answer: (question: HealthQuestion) => Promise<HealthAnswer>
beforeEach(async () => {
  clock = new VirtualClock()
  asked = []
  answer = async (question) => ({ status: 200, type: 'text/plain', text: `${question} ${asked.length}\n` })
  const ask = (question: HealthQuestion) => {
    asked.push(question)
    return answer(question)
  }
  server = newServer({ clock, ask }, ['/healthz', '/readyz', '/metrics'])
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
})

async function call(path: string, method = 'GET', body?: string) {
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, {
    method,
    ...(body !== undefined && { body }),
  })
  return { status: response.status, text: await response.text(), connection: response.headers.get('connection') }
}
const heard = () => new Promise((resolve) => setTimeout(resolve, 200))

describe('a flood', () => {
  it.each([
    ['/metrics', FROM_PROBES.metricsMs],
    ['/healthz', FROM_PROBES.paceMs],
    ['/readyz', FROM_PROBES.paceMs],
  ])('of %s asks the main loop once in %i ms, and everybody is answered', async (path, paceMs) => {
    const flood = () => Promise.all(Array.from({ length: 64 }, () => call(path)))
    expect((await call(path)).status).toBe(200)
    for (let round = 2; round <= 4; round++) {
      const answers = flood()
      await heard()
      await clock.advance(paceMs - 1)
      expect(asked).toHaveLength(round - 1)
      await clock.advance(1)
      expect(new Set((await answers).map(({ text }) => text))).toEqual(new Set([`${path} ${round}\n`]))
    }
    expect(asked).toHaveLength(4)
  })

  it('of paths that are not there, or of other methods, asks nobody', async () => {
    const all = await Promise.all(Array.from({ length: 64 }, (_, i) => call(`/${'x'.repeat(i)}/?a=%zz`)))
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set([404]))
    expect(await call('/metrics', 'POST', 'a body')).toMatchObject({ status: 405, connection: 'close' })
    expect((await call('/healthz', 'DELETE')).status).toBe(405)
    expect(asked).toEqual([])
  })
})

describe('a main loop that does not turn', () => {
  it('is said to be so when it has not answered in time, is not asked again meanwhile, and is well when it answers', async () => {
    let goOn: (answer: HealthAnswer) => void = () => {}
    answer = () => new Promise((resolve) => (goOn = resolve))
    for (let times = 0; times < 3; times++) {
      const probe = call('/healthz')
      await heard()
      await clock.advance(FROM_PROBES.answerMs)
      expect(await probe).toMatchObject({
        status: 503,
        text: '[-]loop failed: the main loop has not answered in 4 s\nhealthz check failed\n',
      })
    }
    expect(asked).toEqual(['/healthz'])
    goOn({ status: 200, type: 'text/plain', text: 'old\n' })
    await heard()
    const probe = call('/healthz')
    await heard()
    await clock.advance(FROM_PROBES.paceMs)
    goOn({ status: 200, type: 'text/plain', text: 'new\n' })
    expect(await probe).toMatchObject({ status: 200, text: 'new\n' })
  })
})

it('HEAD is answered without a body', async () => {
  expect(await call('/healthz', 'HEAD')).toMatchObject({ status: 200, text: '' })
})
