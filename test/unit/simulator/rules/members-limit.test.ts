import { expect, it } from 'vitest'
import { MembersLimit } from '../../../../src/simulator/rules/index.ts'

it('lets a bot ask for all members of a guild once in 30 s, and for some as often as it likes', () => {
  const limit = new MembersLimit(30_000)
  expect(limit.take('1', { query: '', limit: 0 }, 1_000)).toBe(0)
  expect(limit.take('1', {}, 11_000)).toBe(20_000)
  expect(limit.take('2', { query: '' }, 11_000)).toBe(0)
  for (const some of [{ query: 'a', limit: 5 }, { user_ids: ['7'] }, { query: '', limit: 100 }])
    expect(limit.take('1', some, 11_000)).toBe(0)
  expect(limit.take('1', {}, 30_999)).toBe(1)
  expect(limit.take('1', {}, 31_000)).toBe(0)
})
