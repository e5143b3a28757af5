import { expect, test } from 'vitest'
import { IDENTIFY_CAUSES, identifyCause } from '../../../src/manager/identify-cause.ts'
import { SESSION_ENDS } from '../../../src/protocol/state.ts'
import { aRecord } from './a-link.ts'

test.each([
  ['it never had a session', { recovering: false }, false, 'New'],
  ['it was READY in this process and knows of no end', { recovering: true }, false, 'Lost'],
  ['it had one elsewhere, and came without it', { recovering: false }, true, 'Lost'],
  ['Discord refused it', { ended: 'INVALIDATED' }, true, 'Invalidated'],
  ['a close code ended it', { ended: 'CLOSED' }, true, 'Closed'],
  ['no RESUME came through in time', { ended: 'EXPIRED' }, false, 'Expired'],
] as const)('%s', (_, record, known, cause) => {
  expect(identifyCause(aRecord(1, record), known)).toBe(cause)
})

test('each way in which a session ends has a cause of its own', () => {
  const causes = SESSION_ENDS.map((ended) => identifyCause(aRecord(1, { ended }), true))
  expect(new Set(causes).size).toBe(SESSION_ENDS.length)
  expect(IDENTIFY_CAUSES).toEqual(expect.arrayContaining(causes))
})
