import { expect, it } from 'vitest'
import { type AfterClose, afterClose } from '../../../../sharder/shard/after-close.ts'

const close = (
  code: number,
  more: { byUs?: boolean; invalidResumable?: boolean; dubious?: boolean } = {},
): AfterClose =>
  afterClose({ code, byUs: more.byUs ?? false, invalidResumable: more.invalidResumable }, more.dubious ?? false)

it.each([4004, 4010, 4011, 4012, 4013, 4014])('parks the shard after %i', (code) => expect(close(code)).toBe('park'))

it.each([4007, 4009])('drops the session after %i', (code) => expect(close(code)).toBe('drop'))

it.each([1000, 1001, 1005, 1006, 1011, 4000, 4001, 4002, 4008, 4999])('resumes after %i', (code) =>
  expect(close(code)).toBe('resume'),
)

it.each([4003, 4005])('resumes once after %i, then drops the session', (code) => {
  expect(close(code)).toBe('resume')
  expect(close(code, { dubious: true })).toBe('drop')
})

it('follows op 9', () => {
  expect(close(4000, { byUs: true, invalidResumable: true })).toBe('resume')
  expect(close(4000, { byUs: true, invalidResumable: false })).toBe('drop')
})

it('keeps the session when this side closed', () => expect(close(4009, { byUs: true })).toBe('resume'))
