import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..', '..', '..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const rows = read('docs/capabilities.md')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !/^\| (what|---)/.test(line))
  .map((line) => line.slice(2, -2).split(' | '))

test('the page has rows of two columns: what, and what proves it or why it is not there', () => {
  expect(rows.length).toBeGreaterThan(20)
  for (const row of rows) expect(row, row.join(' | ')).toHaveLength(2)
})

test.each(rows)('%s', (_, proof = '') => {
  if (proof.startsWith('**no**: ')) return expect(proof.length).toBeGreaterThan(30)
  let text: string | undefined
  for (const [, path, title] of proof.matchAll(/`(test\/[\w/.-]+\.ts)`|\*([^*]+)\*/g)) {
    if (path !== undefined) text = read(path)
    else expect(text, `a test named ${title}`).toContain(title)
  }
  expect(text, 'names no test').toBeDefined()
  return undefined
})
