import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseCommand } from '../../../sharder/command-body.ts'
import { FROM_MANAGER, FROM_WORKERS, MAX_SHARDS } from '../../../src/limits.ts'
import { COMMAND_TYPES } from '../../../src/protocol/commands.ts'
import { MAX_SEND_WAIT_MS } from '../../../src/protocol/send-payload.ts'
import type { Session } from '../../../src/protocol/session.ts'
import { runs } from '../../support/fuzz.ts'

const gateway = { url: 'wss://gateway.discord.gg', version: 10, intents: 1, compression: 'None' }
const session: Session = {
  shardId: 99_999,
  sessionId: '0'.repeat(32),
  resumeGatewayUrl: 'wss://gateway-us-east1-b.discord.gg',
  sequence: FROM_WORKERS.sequence,
  totalShards: MAX_SHARDS,
  lastContactMsAgo: 90_000,
}
const ids = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i)
const withheld = (count: number) => ids(count).map((i) => ({ first: 90_000 + i, last: 90_000 + i }))
const assign = (more: object = {}) => ({
  ...{ type: 'ASSIGN_SHARDS', epoch: 1, totalShards: MAX_SHARDS, first: 95_000, last: 99_999, gateway },
  ...more,
})
const release = (shardIds: unknown) => ({ type: 'RELEASE_SHARDS', epoch: 1, shardIds })
const identify = (more: object = {}) => ({ type: 'IDENTIFY_SHARD', shardId: 0, ...more })
const sending = (more: object = {}) => ({ type: 'SEND_PAYLOAD', shardIds: [0], payload: { op: 3, d: {} }, ...more })
const nested = (depth: number): unknown => (depth === 0 ? 0 : [nested(depth - 1)])

const parse = (command: unknown) => parseCommand(JSON.stringify(command))

describe('takes the smallest and the largest that an honest manager says', () => {
  it.each([
    ['the smallest assignment', assign({ epoch: 0, totalShards: 1, first: 0, last: 0 })],
    ['no shard at all', assign({ totalShards: MAX_SHARDS, first: MAX_SHARDS, last: MAX_SHARDS - 1 })],
    ['no shard of one', assign({ totalShards: 1, first: 1, last: 0 })],
    [
      'the largest range with a session for each shard and every other withheld',
      assign({
        epoch: Number.MAX_SAFE_INTEGER,
        withhold: withheld(FROM_MANAGER.withheldRanges),
        sessions: ids(FROM_MANAGER.rangeShards, 95_000).map((shardId) => ({ ...session, shardId })),
      }),
    ],
    ['a presence as deep as a command may be', assign({ gateway: { ...gateway, presence: { a: nested(29) } } })],
    ['the release of nothing', release([])],
    ['the release of two whole ranges', release(ids(FROM_MANAGER.heldShards, MAX_SHARDS - FROM_MANAGER.heldShards))],
    ['the smallest IDENTIFY', identify()],
    [
      'the largest IDENTIFY',
      identify({ shardId: MAX_SHARDS, epoch: Number.MAX_SAFE_INTEGER, slotInMs: FROM_MANAGER.slotMs }),
    ],
    ['the smallest payload', sending({ payload: { op: 0, d: {} } })],
    [
      'a payload to every shard of the largest bot',
      sending({
        shardIds: ids(MAX_SHARDS),
        payload: { op: 8, d: { a: 'x'.repeat(4_000) } },
        withinMs: MAX_SEND_WAIT_MS,
      }),
    ],
  ])('%s', (_what, command) => {
    expect(parse(command)).toMatchObject({ ok: true, command: { type: command.type } })
  })
})

describe('refuses what none says', () => {
  it.each([
    ['an epoch that no number holds exactly', assign({ epoch: 2 ** 53 }), 'epoch'],
    ['a range of one more shard', assign({ first: 94_999 }), 'last'],
    ['a range beyond the shards', assign({ totalShards: 99_999 }), 'last'],
    ['a range that ends long before it begins', assign({ first: 10, last: 0 }), 'last'],
    ['more shards than any bot has', assign({ totalShards: MAX_SHARDS + 1 }), 'totalShards'],
    ['a shard beyond all', assign({ first: MAX_SHARDS + 1, last: MAX_SHARDS + 5 }), 'first'],
    ['more ranges than there can be gaps', assign({ withhold: withheld(FROM_MANAGER.withheldRanges + 1) }), 'withhold'],
    ['a range withheld beyond all', assign({ withhold: [{ first: 0, last: MAX_SHARDS + 1 }] }), 'withhold[0].last'],
    [
      'more sessions than a worker has shards',
      assign({
        sessions: ids(FROM_MANAGER.heldShards + 1).map(() => session),
      }),
      'sessions',
    ],
    ['a gateway version from the far future', assign({ gateway: { ...gateway, version: 1_001 } }), 'gateway.version'],
    ['the release of more than a worker has', release(ids(FROM_MANAGER.heldShards + 1)), 'shardIds'],
    ['the release of a shard beyond all', release([MAX_SHARDS + 1]), 'shardIds[0]'],
    ['an IDENTIFY of a shard beyond all', identify({ shardId: MAX_SHARDS + 1 }), 'shardId'],
    ['a slot beyond the next minute', identify({ slotInMs: FROM_MANAGER.slotMs + 1 }), 'slotInMs'],
    ['a payload to no shard', sending({ shardIds: [] }), 'shardIds'],
    ['a payload to a shard beyond all', sending({ shardIds: [MAX_SHARDS + 1] }), 'shardIds[0]'],
    ['a payload to more shards than any bot has', sending({ shardIds: [...ids(MAX_SHARDS), 0] }), 'shardIds'],
    [
      'a presence that is deeper',
      assign({ gateway: { ...gateway, presence: { a: nested(30) } } }),
      'nests more than 32',
    ],
  ])('%s', (_what, command, names) => {
    expect(parse(command)).toMatchObject({
      ok: false,
      failure: { code: 'BAD_REQUEST', message: expect.stringContaining(names) },
    })
  })

  it('JSON a million deep, wherever it is, without parsing it', () => {
    const deep = `${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`
    for (const body of [deep, `{"type":"SEND_PAYLOAD","shardIds":[0],"payload":{"op":3,"d":{"a":${deep}}}}`])
      expect(parseCommand(body)).toMatchObject({
        ok: false,
        failure: { code: 'BAD_REQUEST', message: expect.stringContaining('nests more than 32') },
      })
  })

  it('a body larger than its type ever needs', () => {
    const large = { a: 'x'.repeat(FROM_MANAGER.smallBodyBytes) }
    for (const command of [identify(large), release([]), sending({ payload: { op: 3, d: large } })])
      expect(parse({ ...command, ...large })).toMatchObject({ ok: false, failure: { code: 'TOO_LARGE' } })
    expect(parse(assign({ gateway: { ...gateway, presence: large } }))).toMatchObject({ ok: true })
  })

  it('text that is no JSON, and quotes none of it', () => {
    const failed = parseCommand('a secret that came here by accident')
    expect(failed).toMatchObject({ ok: false, failure: { message: 'the body is not JSON.' } })
  })
})

describe('whatever comes', () => {
  it('is a command or a failure with a short message', () => {
    const member = fc.oneof(fc.constantFrom(...COMMAND_TYPES, 0, -1, 1e300, 2 ** 53, null, [], {}), fc.jsonValue())
    const close = fc.dictionary(
      fc.constantFrom(
        'epoch',
        'shardId',
        'shardIds',
        'first',
        'last',
        'totalShards',
        'withhold',
        'gateway',
        'payload',
        'd',
      ),
      member,
    )
    const text = fc.oneof(
      fc.json(),
      fc.string({ unit: 'binary' }),
      fc.tuple(fc.constantFrom(...COMMAND_TYPES), close).map(([type, more]) => JSON.stringify({ type, ...more })),
    )
    fc.assert(
      fc.property(text, (body) => {
        const parsed = parseCommand(body)
        if (parsed.ok) expect(COMMAND_TYPES).toContain(parsed.command.type)
        else expect(parsed.failure.message.length).toBeLessThanOrEqual(1_024)
      }),
      { numRuns: runs(1_000) },
    )
  })

  it('changes no prototype, and is no command by its prototype', () => {
    const bad = '"__proto__":{"polluted":true,"shardId":1},"constructor":{"prototype":{"polluted":true}}'
    expect(parseCommand(`{"type":"IDENTIFY_SHARD",${bad}}`)).toMatchObject({ ok: false })
    expect(parseCommand('{"__proto__":{"type":"IDENTIFY_SHARD"}}')).toMatchObject({ ok: false })
    for (const type of ['__proto__', 'constructor', 'toString'])
      expect(parseCommand(`{"type":"${type}"}`)).toMatchObject({ ok: false, failure: { code: 'UNKNOWN_TYPE' } })
    const sent = parseCommand(`{"type":"SEND_PAYLOAD","shardIds":[0],"payload":{"op":3,"d":{${bad}}}}`)
    expect(sent.ok && Object.getPrototypeOf(sent.command)).toBe(Object.prototype)
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })
})
