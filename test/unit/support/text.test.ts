import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createLogger } from '../../../src/support/logger.ts'
import { cutText, foreignText } from '../../../src/support/text.ts'

it('cuts at a character, with an ellipsis, and leaves what fits', () => {
  expect(cutText('abcd', 4)).toBe('abcd')
  expect(cutText('abcde', 4)).toBe('abc…')
  expect(cutText('ab😀de', 4)).toBe('ab…')
  expect(cutText('a😀cde', 4)).toBe('a😀…')
  expect(cutText('x'.repeat(2_000))).toHaveLength(1_024)
})

it('never makes half of a character, and is never longer than asked', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), fc.integer({ min: 1, max: 20 }), (text, max) => {
      const cut = cutText(text, max)
      expect(cut.length).toBeLessThanOrEqual(max)
      expect(cut.isWellFormed()).toBe(true)
      if (text.length <= max) expect(cut).toBe(text)
    }),
    { seed: 5 },
  )
})

it('of a large text keeps no more than its piece', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const pieces: string[] = []
  collect()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 100; i++) pieces.push(cutText(`${i}${'x'.repeat(2_000_000)}`, 64))
  collect()
  // A slice of each would keep 200 MB of them.
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(20_000_000)
  expect(pieces).toHaveLength(100)
})

it('shows foreign text in one line, without what a terminal obeys', () => {
  expect(foreignText('a\n\u001b[31mb\u2028c\ud800')).toBe('a  [31mb c\ufffd')
})

const logged = (fields: object): { line: string; json: Record<string, unknown> } => {
  const lines: string[] = []
  createLogger('test', 'info', { write: (text: string) => void lines.push(text) }).info(fields, 'said')
  const line = lines.join('')
  return { line, json: JSON.parse(line) }
}

it('is cut in a line of the log, wherever it stands', () => {
  const big = 'x'.repeat(15_000_000)
  const error = Object.assign(new Error(big), { body: { text: big } })
  const { line, json } = logged({ why: big, failure: { message: big, list: [big] }, err: error, n: 7, at: new Date(0) })
  expect(line.length).toBeLessThan(20_000)
  expect(json).toMatchObject({ n: 7, at: '1970-01-01T00:00:00.000Z', failure: { list: [`${'x'.repeat(1_023)}…`] } })
  expect((json['err'] as { message: string }).message).toBe(`${'x'.repeat(1_023)}…`)
})

it('is cut where there are many fields, or many within one another', () => {
  const deep: Record<string, unknown> = {}
  let inner = deep
  for (let i = 0; i < 100_000; i++) inner = inner['in'] = {} as Record<string, unknown>
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`k${i}`, i]))
  const { line } = logged({ deep, many, list: Array(100_000).fill(1) })
  expect(line.length).toBeLessThan(5_000)
})

it('keeps secrets out of the log as before', () => {
  const { line } = logged({ token: 'the-secret', headers: { authorization: 'the-secret' } })
  expect(line).not.toContain('the-secret')
  expect(line).toContain('[redacted]')
})
