import { pino } from 'pino'
import { expect, it } from 'vitest'
import type { ApiCall } from '../../../operator/kube/call.ts'
import { EventRecorder } from '../../../operator/kube/events.ts'
import { pods } from '../../../operator/kube/resources.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

it.each([
  ['x'.repeat(100_000), `${'x'.repeat(1_021)}…`],
  ['€'.repeat(1_000), `${'€'.repeat(340)}…`],
  ['all is well', 'all is well'],
])('a note of an event has 1,024 bytes at most, and ends with a whole character', async (note, written) => {
  const notes: unknown[] = []
  const recorder = new EventRecorder({
    transport: {
      request: async <T>({ body }: ApiCall) => void notes.push((body as { note: string }).note) as T,
      stream: () => Promise.reject(new Error('nothing is watched')),
    },
    ...{
      controller: 'c',
      instance: 'i',
      clock: new VirtualClock(),
      random: () => 0,
      logger: pino({ level: 'silent' }),
    },
  })
  const regarding = { metadata: { name: 'p', namespace: 'n', uid: 'u', resourceVersion: '1' } }
  recorder.record({ regarding, resource: pods, type: 'Warning', reason: 'R', action: 'A', note })
  await recorder.flush()
  expect(notes).toEqual([written])
  expect(Buffer.byteLength(written)).toBeLessThanOrEqual(1_024)
})
