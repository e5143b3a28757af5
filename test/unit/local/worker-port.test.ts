import { expect, test } from 'vitest'
import { MovingPort } from '../../../src/local/worker-port.ts'
import type { WorkerPort } from '../../../src/manager/ports.ts'

test('everything that is asked goes to the process that runs now', async () => {
  const asked: string[] = []
  const portOf = (name: string): WorkerPort => {
    const answer = (what: string) => async () => {
      asked.push(`${name} ${what}`)
      return { ok: false as const, failure: { code: 'UNKNOWN' as const, message: '' } }
    }
    const watch = async () => void asked.push(`${name} watch`)
    const [identify, assign, release] = [answer('identify'), answer('assign'), answer('release')]
    return { identify, assign, release, send: answer('send'), watch }
  }
  const port = new MovingPort(portOf('first'))
  const { signal } = new AbortController()
  const askAll = async () => {
    await port.identify({ shardId: 0, slotInMs: 0 }, signal)
    await port.assign({} as never, signal)
    await port.release({ epoch: 1, shardIds: [] }, signal)
    await port.send({ shardIds: [0], payload: { op: 3, d: {} }, withinMs: 0 }, signal)
    await port.watch(() => {}, signal)
  }
  await askAll()
  port.moveTo(portOf('second'))
  await askAll()
  const all = ['identify', 'assign', 'release', 'send', 'watch']
  expect(asked).toEqual(['first', 'second'].flatMap((name) => all.map((what) => `${name} ${what}`)))
})
