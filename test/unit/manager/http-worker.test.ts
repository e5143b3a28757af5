import { afterAll, describe, expect, test } from 'vitest'
import { httpWorker, workerAgent } from '../../../src/manager/http-worker.ts'
import { FAILURE_STATUS, type FailureCode, failure } from '../../../src/protocol/failures.ts'
import type { StateRecord } from '../../../src/protocol/state.ts'
import { type Answer, httpServer, json } from './http-server.ts'

const dispatcher = workerAgent()
afterAll(() => dispatcher.destroy())

const AUTHORIZATION = 'key-of-the-workers'
const OK = { identified: true, shardId: 3, workerId: 0, identifiedMsAgo: 12 }
const never = new AbortController().signal
const worker = (url: string) => httpWorker({ url, keys: () => [AUTHORIZATION], dispatcher })

const identified = async (answer: Answer, signal = never) => {
  await using server = await httpServer(answer)
  return await worker(server.url).identify({ shardId: 3, epoch: 1, slotInMs: 0 }, signal)
}
const unknown = (message: RegExp) => ({
  ok: false,
  failure: { code: 'UNKNOWN', message: expect.stringMatching(message) },
})

describe('a command', () => {
  test('is one POST with the key, and its answer a value', async () => {
    const seen: unknown[] = []
    const answer = await identified((request, response, body) => {
      seen.push(request.method, request.url, request.headers.authorization, JSON.parse(body))
      json(200, OK)(request, response, body)
    })
    expect(answer).toEqual({ ok: true, value: OK })
    expect(seen).toEqual(['POST', '/', AUTHORIZATION, { type: 'IDENTIFY_SHARD', shardId: 3, epoch: 1, slotInMs: 0 }])
  })

  test.each(Object.keys(FAILURE_STATUS) as FailureCode[])('fails with %s as the worker says', async (code) => {
    const said = failure(code, 'because', { closeCode: 4014, identifiedMsAgo: 40 })
    expect(await identified(json(said.status, said))).toEqual({ ok: false, failure: said })
  })

  test.each<[string, Answer, RegExp]>([
    ['200 with a page', json(200, '<html>'), /answered 200 with something that is not JSON/],
    ['200 with another answer', json(200, { released: [] }), /something else than was asked for/],
    ['500 without a body', json(500, ''), /500/],
    ['404 of something else', json(404, { message: 'no' }), /answered 404 without saying why/],
    [
      'a failure of a kind that is not known',
      json(502, { status: 502, code: 'NEW', message: 'x' }),
      /502 without saying why/,
    ],
    ['a cut connection', (_, response) => response.destroy(), /could not be reached/],
    [
      'half an answer',
      (_, response) => {
        response.writeHead(200, { 'content-length': '100' })
        response.write('{"identified"')
        setTimeout(() => response.destroy(), 20)
      },
      /could not be reached/,
    ],
  ])('%s: nobody knows what the worker did', async (_, answer, message) => {
    expect(await identified(answer)).toEqual(unknown(message))
  })

  test('an answer about another shard is not believed', async () => {
    const { failure } = (await identified(json(200, { ...OK, shardId: 4 }))) as { failure: unknown }
    expect(failure).toEqual({ code: 'UNKNOWN', bound: 'Shards', message: expect.stringMatching(/not asked about/) })
  })

  test('an age beyond a year, or a text beyond 1,024 characters, is cut and not refused', async () => {
    const said = failure('CLOSED', 'x'.repeat(40_000), { identifiedMsAgo: 1e300 })
    const answer = await identified(json(502, said))
    expect(answer).toEqual({
      ok: false,
      failure: { ...said, message: `${'x'.repeat(1_023)}…`, identifiedMsAgo: 365 * 24 * 3_600_000 },
    })
  })

  test('a worker that hangs is given up with the deadline, and sees it', async () => {
    const deadline = new AbortController()
    const closed = Promise.withResolvers<void>()
    await using server = await httpServer((_, response) => {
      response.on('close', () => closed.resolve())
      deadline.abort(new Error('no answer within 90 s'))
    })
    const answer = await worker(server.url).identify({ shardId: 3, slotInMs: 0 }, deadline.signal)
    expect(answer).toEqual(unknown(/gave no answer within 90 s/))
    await closed.promise
  })

  test('a command that was given up before it began is not sent', async () => {
    await using server = await httpServer(json(200, OK))
    const answer = await worker(server.url).identify({ shardId: 3, slotInMs: 0 }, AbortSignal.abort())
    expect(answer).toEqual(unknown(/was given up/))
    expect(server.requests).toEqual([])
  })

  test('a worker that is not there', async () => {
    const server = await httpServer(json(200, OK))
    await server[Symbol.asyncDispose]()
    const answer = await worker(server.url).release({ epoch: 1, shardIds: [] }, never)
    expect(answer).toEqual(unknown(/ECONNREFUSED/))
  })
})

describe('a worker that wants another key', () => {
  const refused = failure('UNAUTHORIZED', 'wrong key')
  const wanting =
    (wanted: string): Answer =>
    (request, response, body) =>
      request.headers.authorization === wanted
        ? json(200, OK)(request, response, body)
        : json(401, refused)(request, response, body)
  const asked = async (keys: readonly string[]) => {
    await using server = await httpServer(wanting('old'))
    let refusals = 0
    const options = { url: server.url, keys: () => keys, onKeysRefused: () => refusals++, dispatcher }
    const answer = await httpWorker(options).identify({ shardId: 3, slotInMs: 0 }, never)
    return { answer, refusals, tried: server.requests.map(({ headers }) => headers.authorization) }
  }

  test('gets the next one that is known', async () => {
    expect(await asked(['new', 'old', 'older'])).toEqual({
      answer: { ok: true, value: OK },
      refusals: 0,
      tried: ['new', 'old'],
    })
  })

  test('and wants none of them: said so, and whoever knows keys is told once', async () => {
    expect(await asked(['new', 'other'])).toEqual({
      answer: { ok: false, failure: refused },
      refusals: 1,
      tried: ['new', 'other'],
    })
  })
})

describe('the state stream', () => {
  const head = { type: 'SNAPSHOT', workerId: 0, bootId: 'a', epoch: 0, draining: false, sinks: [], shards: [] }
  const lines = (...records: unknown[]) => records.map((record) => `${JSON.stringify(record)}\n`).join('')
  const watched = async (answer: Answer, signal = never, onRecord: (record: StateRecord) => void = () => {}) => {
    const records: StateRecord[] = []
    await using server = await httpServer(answer)
    const take = (record: StateRecord) => {
      records.push(record)
      onRecord(record)
    }
    const error = await worker(server.url)
      .watch(take, signal)
      .then(
        () => undefined,
        (error: Error) => error,
      )
    return { records, error, request: server.requests[0] }
  }

  test('hands over each record and resolves when the worker ends it', async () => {
    const { records, error, request } = await watched((_, response) => {
      response.write(lines(head).slice(0, 20))
      setTimeout(
        () => response.end(lines(head).slice(20) + lines({ type: 'DELTA' }, { type: 'DRAINED', sessions: [] })),
        20,
      )
    })
    expect(error).toBeUndefined()
    expect(records.map(({ type }) => type)).toEqual(['SNAPSHOT', 'DELTA', 'DRAINED'])
    expect([request?.url, request?.headers.authorization]).toEqual(['/shards?watch=true', AUTHORIZATION])
  })

  test.each<[string, Answer, RegExp]>([
    ['is refused', json(401, { error: 'unauthorized' }), /answered 401.*unauthorized/],
    ['brings nonsense', (_, response) => response.write(`${lines(head)}<html>\n`), /JSON/],
    ['brings a record that is none', (_, response) => response.write(lines(head, { type: 'HELLO' })), /type/],
    [
      'breaks',
      (_, response) => {
        response.write(lines(head))
        setTimeout(() => response.destroy(), 20)
      },
      /./,
    ],
  ])('rejects when it %s', async (_, answer, message) => {
    const { error } = await watched(answer)
    expect(error).toBeInstanceOf(Error)
    expect(error?.message).toMatch(message)
  })

  test('rejects at once when it is given up, and the worker sees it', async () => {
    const given = new AbortController()
    const closed = Promise.withResolvers<void>()
    const { error, records } = await watched(
      (_, response) => {
        response.on('close', () => closed.resolve())
        response.write(lines(head))
      },
      given.signal,
      () => given.abort(),
    )
    expect(records).toHaveLength(1)
    expect(error).toBeInstanceOf(Error)
    await closed.promise
  })
})
