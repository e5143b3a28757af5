import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lines } from '../../../operator/kube/watch.ts'

async function linesOf(bytes: Uint8Array, sizes: number[]): Promise<string[]> {
  async function* chunks() {
    let at = 0
    for (let turn = 0; at < bytes.length; turn += 1) {
      const size = Math.max(1, sizes[turn % Math.max(1, sizes.length)] ?? 1)
      yield bytes.subarray(at, at + size)
      at += size
    }
  }
  const found: string[] = []
  for await (const line of lines(chunks())) found.push(line)
  return found
}

describe('lines', () => {
  it('gives the same lines however the bytes were cut, inside characters too', async () => {
    const texts = fc.array(
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((t) => !/[\n\uFEFF]/.test(t)),
    )
    await fc.assert(
      fc.asyncProperty(texts, fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }), async (list, sizes) => {
        const bytes = Buffer.from(list.map((text) => `${text}\n`).join(''))
        expect(await linesOf(bytes, sizes)).toEqual(list)
      }),
    )
  })

  it('drops half an event of a cut connection', async () => {
    expect(await linesOf(Buffer.from('{"a":1}\n{"b":'), [4])).toEqual(['{"a":1}'])
  })
})
