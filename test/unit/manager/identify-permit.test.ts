import { pino } from 'pino'
import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { IdentifyAttempts } from '../../../src/manager/identify-attempts.ts'
import { IdentifyPermit } from '../../../src/manager/identify-permit.ts'
import { createManagerMetrics } from '../../../src/manager/metrics.ts'
import type { Answer } from '../../../src/manager/ports.ts'
import { SessionLedger } from '../../../src/manager/session-ledger.ts'
import type { Identified } from '../../../src/protocol/commands.ts'
import { failure } from '../../../src/protocol/failures.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { aLink, aRecord } from './a-link.ts'

/** What becomes of a permit whose answer takes two seconds. */
async function used(answer: Answer<Identified>) {
  const clock = new VirtualClock()
  await clock.advance(10_000)
  const identify = () => new Promise<Answer<Identified>>((resolve) => clock.after(2_000, () => resolve(answer)))
  const link = aLink(0, clock, [aRecord(3, { state: 'Unidentified' })], { identify })
  const permit = new IdentifyPermit({
    ...{ cluster: 'ns/bot', clock, logger: pino({ level: 'silent' }), metrics: createManagerMetrics(new Registry()) },
    ...{ sessions: new SessionLedger(), attempts: new IdentifyAttempts(() => 1), identifying: new Set([3]) },
    ...{ signal: link.signal, epochFor: () => 1, onFatalClose: () => {} },
  })
  const outcome = permit.use({ candidate: { shardId: 3 }, slotAt: clock.now() } as never, link)
  await clock.advance(2_000)
  await link.stop()
  return await outcome
}
const identified = (identifiedMsAgo: number): Answer<Identified> => ({
  ok: true,
  value: { identified: true, shardId: 3, workerId: 0, identifiedMsAgo },
})

test('an IDENTIFY left when the worker says', async () => {
  expect(await used(identified(500))).toMatchObject({ sentAt: 11_500 })
})

test.each([
  identified(3_600_000),
  { ok: false as const, failure: failure('INVALID_SESSION', 'op 9', { identifiedMsAgo: 3_600_000 }) },
])('and not before it was asked for, whatever the worker says: its bucket is not free', async (answer) => {
  expect(await used(answer)).toMatchObject({ sentAt: 10_000 })
})
