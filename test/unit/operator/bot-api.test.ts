import { expect, it } from 'vitest'
import { apiSource } from '../../../operator/bot-api.ts'
import { MembersLimit } from '../../../src/bot-api/members-limit.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

it('who claims to be a bot in another namespace uses up nothing of what the bot may ask Discord', () => {
  const source = apiSource({
    clusters: { get: (key: string) => ({ metadata: { name: key } }) } as never,
    fleets: { get: () => undefined, botOf: () => '100000000000000001' },
    client: { get: () => Promise.reject(new Error('not asked here')) },
  })
  const members = new MembersLimit(new VirtualClock())
  const takes = (namespace: string) => typeof members.take(source.find(namespace, 'bot')?.bot ?? '', '1', 0)
  expect([takes('victim'), takes('evil'), takes('evil'), takes('victim')]).toEqual([
    'object',
    'object',
    'number',
    'number',
  ])
})
