import { changed, type Fault, type GatewayEvent, leaving, passing, reshaped } from './fault.ts'

const NOT_UTF8 = Buffer.from([0xc3, 0x28, 0xff])
const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels)

/** Messages that are no payload, or one that nobody can use. */
const UNREADABLE: readonly Fault[] = [
  ...['', '{', '[]', 'null', '42', '"a text"', 'not JSON', '{}', '{"t":null,"s":null,"d":{}}', '\u0000'.repeat(99)].map(
    (text) =>
      leaving(
        `the payload ${JSON.stringify(text.slice(0, 30))}`,
        text === '' ? ['payload', 'compression'] : 'payload',
        (wire) => wire.send(text),
      ),
  ),
  leaving('JSON that is cut off', 'payload', (wire, payload, random) => {
    const cut = payload.subarray(0, random.int(1, payload.length - 1))
    // What ends as an object does is no matter of the head.
    return wire.send(cut.at(-1) === 125 ? cut.subarray(0, -1) : cut)
  }),
  leaving('something behind the payload', 'payload', (wire, payload) => wire.send(`${payload} and more`)),
  leaving('a byte order mark', 'payload', (wire, payload) => wire.send(`\ufeff${payload}`)),
  leaving('a name that is no UTF-8', 'payload', (wire, payload) =>
    wire.send(Buffer.concat([Buffer.from('{"t":"X'), NOT_UTF8, payload.subarray(6)])),
  ),
  leaving('a line that ends within a text', 'payload', (wire, payload) =>
    wire.send(`${payload.subarray(0, -1)},"more":"a text\non two lines"}`),
  ),
  ...[0.5, '0', null, {}, undefined].map((op) =>
    leaving(`the opcode ${JSON.stringify(op)}`, 'payload', (wire, payload) => wire.send(changed(payload, { op }))),
  ),
  ...[null, '7', -1, 1.5, 1e300, undefined].map((s) =>
    leaving(`the sequence ${s}`, 'field', (wire, payload) => wire.send(changed(payload, { s }))),
  ),
  ...[null, '', 7, {}, undefined].map((t) =>
    leaving(`the name ${JSON.stringify(t)}`, 'field', (wire, payload) => wire.send(changed(payload, { t }))),
  ),
  leaving('a name of a million characters', 'payload', (wire, payload) =>
    wire.send(changed(payload, { t: 'X'.repeat(1_000_000) })),
  ),
  leaving('a sequence far ahead', 'sequence', (wire, payload) => wire.send(changed(payload, { s: 999_999_999_999 }))),
  leaving('a heartbeat answer that never ends', 'size', (wire) =>
    wire.send(`{"t":null,"s":null,"op":11,"d":${deep(500_000)}}`),
  ),
  leaving('brackets that are never closed', 'payload', (wire) =>
    wire.send(`{"t":null,"s":null,"op":11,"d":${'['.repeat(10_000)}`),
  ),
  leaving('op 7 with something in it', [], (wire) => wire.send(`{"t":"READY","s":null,"op":7,"d":${deep(99)}}`)),
  ...['null', '"maybe"', '{}'].map((d) =>
    leaving(`op 9 with ${d}`, 'field', (wire) => wire.send(`{"t":null,"s":null,"op":9,"d":${d}}`)),
  ),
  leaving('op 9 without d', 'field', (wire) => wire.send('{"op":9}')),
]

/** What is passed over. */
const ODD: readonly Fault[] = [
  ...[2, 5, 12, 99, -1, 1e9].map((op) =>
    passing(`op ${op}`, 'opcode', (wire) => wire.send(`{"t":"NOBODY","s":1,"op":${op},"d":${deep(50_000)}}`)),
  ),
  passing('another HELLO', 'opcode', (wire) =>
    wire.send('{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250}}'),
  ),
  passing('a heartbeat answer that calls itself READY', undefined, (wire) =>
    wire.send('{"t":"READY","s":1,"op":11,"d":null}'),
  ),
  passing('a thousand requests for a heartbeat', undefined, async (wire) => {
    for (let i = 0; i < 1_000; i++) await wire.send('{"t":null,"s":null,"op":1,"d":null}')
  }),
  passing('an event with an old sequence', 'sequence', (wire, payload, random) =>
    wire.extra(`{"t":"LATE","s":1,"op":0,"d":{"extra":${random.next()},"of":${payload.length}}}`),
  ),
  // The promise is the payload byte for byte: nobody parses it on the way.
  passing('a body that is no JSON, in a sound head', 'sequence', (wire, _payload, random) =>
    wire.extra(`{"t":"BROKEN","s":1,"op":0,"d":{"extra":${random.next()},}{]}`),
  ),
  passing('a body that is no UTF-8, in a sound head', 'sequence', (wire, _payload, random) =>
    wire.extra(
      Buffer.concat([
        Buffer.from(`{"t":"BROKEN","s":1,"op":0,"d":{"extra":${random.next()},"x":"`),
        NOT_UTF8,
        Buffer.from('"}}'),
      ]),
    ),
  ),
]

const shuffled = <T>(list: readonly T[], next: () => number): T[] =>
  list
    .map((value) => ({ value, key: next() }))
    .sort((a, b) => a.key - b.key)
    .map(({ value }) => value)
const escaped = (text: string): string =>
  `"${Array.from(text, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`
const asText = ({ t, s, op, d }: GatewayEvent): [string, string][] => [
  ['t', JSON.stringify(t)],
  ['s', String(s)],
  ['op', String(op)],
  ['d', JSON.stringify(d)],
]
const object = (entries: readonly (readonly [string, string])[]): string =>
  `{${entries.map(([key, value]) => `${key.startsWith('"') ? key : `"${key}"`}:${value}`).join(',')}}`

/** Events as Discord might send them one day. */
const RESHAPED: readonly Fault[] = [
  reshaped('another order of keys', (event, { next }) => object(shuffled(asText(event), next))),
  reshaped('keys that nobody knows', (event, { next }) =>
    object(shuffled([...asText(event), ['x', '[1]'], ['op_', '7']], next)),
  ),
  reshaped('a name with escapes', ({ t, s, op, d }) =>
    object([['t', escaped(t)], ...asText({ t, s, op, d }).slice(1)]),
  ),
  reshaped('keys with escapes', (event) => object(asText(event).map(([key, value]) => [escaped(key), value]))),
  reshaped('lines and spaces', (event, random) => JSON.stringify(event, null, random.pick([1, '\t', '\r\n']))),
  reshaped('a sequence with an exponent', ({ s, ...event }) =>
    object(asText({ s, ...event }).map(([k, v]) => [k, k === 's' ? `${s}e0` : v])),
  ),
  reshaped('many megabytes', ({ d, ...event }, random) =>
    object(asText({ ...event, d: { ...d, more: 'é'.repeat(random.int(500_000, 4_000_000)) } })),
  ),
  reshaped('a hundred thousand brackets', (event, random) =>
    object(
      asText(event).map(([k, v]) => [
        k,
        k === 'd' ? `${v.slice(0, -1)},"more":${deep(random.int(50_000, 100_000))}}` : v,
      ]),
    ),
  ),
]

/** HELLO and RESUMED of the next connection. */
const GREETINGS: readonly Fault[] = [
  ...[
    'null',
    '"41250"',
    '{}',
    '{"heartbeat_interval":"41250"}',
    '{"heartbeat_interval":null}',
    '{"heartbeat_interval":0}',
    '{"heartbeat_interval":-1}',
    '{"heartbeat_interval":1e12}',
  ].map(
    (d): Fault => ({
      ...leaving(`HELLO with ${d}`, 'field', (wire) => wire.send(`{"t":null,"s":null,"op":10,"d":${d}}`)),
      at: 'hello',
    }),
  ),
  { ...leaving('HELLO without d', 'field', (wire) => wire.send('{"op":10}')), at: 'hello' },
  { ...leaving('HELLO that is no JSON', 'payload', (wire) => wire.send('{"op":10,"d":')), at: 'hello' },
  {
    ...leaving('READY in place of RESUMED', 'payload', (wire, payload) =>
      wire.send(changed(payload, { t: 'READY', d: { session_id: 'another', resume_gateway_url: 'ws://127.0.0.1:1' } })),
    ),
    at: 'resumed',
  },
  {
    ...leaving('RESUMED that is cut off', 'payload', (wire, payload) => wire.send(payload.subarray(0, -2))),
    at: 'resumed',
  },
  {
    ...reshaped('RESUMED with anything in it', (event) => JSON.stringify({ ...event, d: [[null]] })),
    at: 'resumed',
  },
]

export const PAYLOAD_FAULTS: readonly Fault[] = [...UNREADABLE, ...ODD, ...RESHAPED, ...GREETINGS]
