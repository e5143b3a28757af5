import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { REST_PROXY } from '../../../src/limits.ts'
import { BodyTooLargeError, ProxyFullError, readAnswer, readBody } from '../../../src/rest-proxy/bodies.ts'
import { Budget } from '../../../src/rest-proxy/budget.ts'

const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 30 })

/** A request with this body, which came in these pieces. */
function requestOf(chunks: readonly Buffer[], told: boolean): IncomingMessage {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  const headers = told ? { 'content-length': String(length) } : { 'transfer-encoding': 'chunked' }
  return Object.assign(Readable.from(chunks), { headers }) as unknown as IncomingMessage
}

test('a body is what came, or is refused for the reason that there is, and never counted beyond the budget: property', () =>
  fc.assert(
    fc.asyncProperty(pieces, fc.boolean(), fc.nat(800), fc.nat(800), async (texts, told, limit, room) => {
      const chunks = texts.map((text) => Buffer.from(text))
      const whole = Buffer.concat(chunks)
      const budget = new Budget(room)
      const claim = budget.claim()
      const body = await readBody(requestOf(chunks, told), limit, claim).catch((error: unknown) => error)
      expect(budget.used).toBeLessThanOrEqual(room)
      if (whole.length > limit && whole.length <= room / 2) expect(body).toBeInstanceOf(BodyTooLargeError)
      if (whole.length <= limit && whole.length > room) expect(body).toBeInstanceOf(ProxyFullError)
      // While it grows, what it was and what it becomes are both there.
      const fits = whole.length <= limit && whole.length <= (told ? room : room / 3)
      if (fits) expect(body ?? Buffer.alloc(0)).toEqual(whole)
      if (Buffer.isBuffer(body)) expect(budget.used).toBeGreaterThanOrEqual(body.length)
      claim.release()
      expect(budget.used).toBe(0)
    }),
    { seed: 17, numRuns: 1_000 },
  ))

test('an answer is what came, whole or as a stream, whatever room there is: property', () =>
  fc.assert(
    fc.asyncProperty(pieces, fc.nat(800), async (texts, room) => {
      const chunks = texts.map((text) => Buffer.from(text))
      const budget = new Budget(room)
      const claim = budget.claim()
      const source = Readable.from(chunks)
      const answer = await readAnswer(source, claim)
      if (!Buffer.isBuffer(answer)) expect(budget.used).toBeGreaterThanOrEqual(REST_PROXY.heldAnswerBytes)
      expect(Buffer.isBuffer(answer) ? answer : await buffer(answer)).toEqual(Buffer.concat(chunks))
      claim.release()
      expect(budget.used).toBe(0)
    }),
    { seed: 17, numRuns: 500 },
  ))

test('an answer that nobody reads to its end ends where it comes from', async () => {
  const source = Readable.from(Array(10).fill(Buffer.alloc(REST_PROXY.heldAnswerBytes)))
  const answer = await readAnswer(source, new Budget(10 * REST_PROXY.heldAnswerBytes).claim())
  expect(answer).toBeInstanceOf(Readable)
  if (answer instanceof Readable) answer.destroy()
  await new Promise((resolve) => source.once('close', resolve))
  expect(source.destroyed).toBe(true)
})

test('what comes after the end of a request is not counted', () => {
  const budget = new Budget(100)
  const claim = budget.claim()
  expect([claim.take(60), claim.take(60), claim.take(40)]).toEqual([true, false, true])
  claim.release()
  claim.release()
  claim.add(10)
  expect([claim.take(1), budget.used]).toEqual([false, 0])
})
