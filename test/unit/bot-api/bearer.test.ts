import { connect } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bearerKey } from '../../../src/bot-api/authorization.ts'
import { FROM_BOTS } from '../../../src/limits.ts'
import { runs } from '../../support/fuzz.ts'
import { KEY, worlds } from './world.ts'

const { start } = worlds()

/** What is meant, said otherwise: the scheme, then what is left of the rest without spaces at its ends. */
function meant(header: string): string | undefined {
  const [scheme, ...rest] = header.split(' ')
  if (scheme?.toLowerCase() !== 'bearer') return undefined
  const words = rest
    .join(' ')
    .split(/( )/)
    .filter((word) => word !== '')
  while (words[0] === ' ') words.shift()
  while (words.at(-1) === ' ') words.pop()
  return words.length > 0 ? words.join('') : undefined
}

describe('the authorization header', () => {
  it('is read as it is meant', () => {
    const text = fc.array(fc.constantFrom(' ', 'a', 'B', '\t', '\u00a0', 'earer'), { maxLength: 12 })
    const scheme = fc.constantFrom('Bearer ', 'bearer ', 'BEARER  ', 'Bearer', 'Bearer\t', 'Bot ', '')
    fc.assert(
      fc.property(scheme, text, (scheme, text) => {
        const header = scheme + text.join('')
        expect(bearerKey(header)).toBe(meant(header))
      }),
      { numRuns: runs(2_000) },
    )
  })

  it('is looked at once, character by character, and not at all when it is too long for a key', () => {
    const steps = (spaces: number) => {
      let count = 0
      const header = `Bearer ${' '.repeat(spaces)}a${' '.repeat(spaces)}\u00a0`
      // A string that counts how often it is looked at.
      const counting = Object.assign(Object(header) as string, {
        charCodeAt(index: number) {
          count++
          return header.charCodeAt(index)
        },
      })
      bearerKey(counting)
      return count
    }
    expect(steps(400)).toBeLessThanOrEqual(FROM_BOTS.authorizationBytes + 2)
    expect(steps(7_400)).toBe(0)
    expect(bearerKey(`Bearer ${'k'.repeat(FROM_BOTS.authorizationBytes - 7)}`)).toHaveLength(
      FROM_BOTS.authorizationBytes - 7,
    )
    expect(bearerKey(`Bearer ${'k'.repeat(FROM_BOTS.authorizationBytes - 6)}`)).toBeUndefined()
  })

  it('that is made of spaces and a byte that is neither is answered like every wrong one, and asks nobody', async () => {
    const world = await start()
    const bomb = Buffer.from(`Bearer ${' '.repeat(7_400)}a${' '.repeat(7_400)}\u00a0`, 'latin1')
    const { port } = new URL(world.api.url)
    const answers = await Promise.all(
      Array.from({ length: 60 }, async () => {
        const socket = connect(Number(port), '127.0.0.1')
        socket.write('GET /v1/shardclusters/ns/bot HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: ')
        socket.write(bomb)
        socket.write('\r\n\r\n')
        let text = ''
        for await (const part of socket) text += part
        return text.split('\r\n', 1)[0]
      }),
    )
    expect(new Set(answers)).toEqual(new Set(['HTTP/1.1 401 Unauthorized']))
    expect(world.asked).toEqual([])
    expect((await world.call('GET', '', undefined, `Bearer ${KEY}`)).status).toBe(200)
  })
})
