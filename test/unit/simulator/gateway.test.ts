import { expect, test } from 'vitest'
import { fakeToken } from '../../../src/simulator/index.ts'
import { counters, until } from './client.ts'
import { simulators, TOKEN } from './harness.ts'
import { ManualClock } from './manual-clock.ts'

const { start, connect } = simulators()

test('HELLO comes first, with the configured interval, in the exact key order', async () => {
  const client = connect(await start({ heartbeatIntervalMs: 4321 }))
  expect((await client.op(10)).d.heartbeat_interval).toBe(4321)
  expect(client.texts[0]).toMatch(/^\{"t":null,"s":null,"op":10,"d":\{"heartbeat_interval":4321,/)
})

test('READY and a GUILD_CREATE for each guild, routed as Discord routes', async () => {
  const simulator = await start({ guildsPerShard: 5, guildBytes: 4000 })
  const client = connect(simulator)
  const ready = await client.ready(TOKEN, [3, 16])
  expect(ready).toMatchObject({ s: 1, op: 0 })
  expect(ready.d).toMatchObject({
    v: 10,
    session_type: 'normal',
    shard: [3, 16],
    resume_gateway_url: simulator.gatewayUrl,
    application: { id: '1000000000000000000' },
    user: { id: '1000000000000000000', bot: true },
  })
  expect(ready.d.session_id).toMatch(/^[0-9a-f]{32}$/)
  expect(ready.d._trace).toHaveLength(1)
  await until(() => counters(client).length === 5)
  const created = client.payloads.filter(({ t }) => t === 'GUILD_CREATE')
  expect(created.map(({ d }) => d.id)).toEqual(ready.d.guilds.map((guild: { id: string }) => guild.id))
  for (const { id } of ready.d.guilds) expect(Number((BigInt(id) >> 22n) % 16n)).toBe(3)
  expect(created.map(({ s }) => s)).toEqual([2, 3, 4, 5, 6])
  expect(created.map(({ d }) => d.sim_n)).toEqual([1, 2, 3, 4, 5])
  for (const text of client.texts) expect(text).toMatch(/^\{"t":(null|"[A-Z_]+"),"s":(null|\d+),"op":\d+,"d":/)
  const bytes = client.texts.find((text) => text.startsWith('{"t":"GUILD_CREATE"'))?.length ?? 0
  expect(Math.abs(bytes - 4000)).toBeLessThan(400)
})

test('without the Guilds intent there are no guilds to create', async () => {
  const simulator = await start({ guildsPerShard: 5 })
  const client = connect(simulator)
  await client.ready(TOKEN, [0, 1], 512)
  simulator.control('burst', { count: 3 })
  await until(() => counters(client).length === 3)
  expect(client.payloads.map(({ t }) => t)).toEqual([
    null,
    'READY',
    'MESSAGE_CREATE',
    'MESSAGE_CREATE',
    'MESSAGE_CREATE',
  ])
})

test('a heartbeat is acknowledged, before and after IDENTIFY', async () => {
  const client = connect(await start())
  await client.op(10)
  client.send(1, null)
  await client.op(11)
  expect(client.texts.at(-1)).toBe('{"t":null,"s":null,"op":11,"d":null}')
  await client.ready(TOKEN, [0, 1])
  client.send(1, 3)
  await client.op(11, client.payloads.length)
})

test.each([
  ['no version', 'encoding=json', 4012],
  ['an old version', 'v=8&encoding=json', 4012],
  ['etf', 'v=10&encoding=etf', 4002],
  ['an unknown compression', 'v=10&encoding=json&compress=brotli', 4002],
])('%s is closed at once', async (_name, query, code) => {
  const simulator = await start()
  expect((await connect(simulator, query).closed).code).toBe(code)
  expect(simulator.stats().closes).toEqual({ [code]: 1 })
})

test.each<[string, (send: (data: string | Buffer) => void) => void, number, string]>([
  ['text that is not JSON', (send) => send('{"op":'), 4002, 'Error while decoding payload.'],
  ['JSON without an opcode', (send) => send('{"d":1}'), 4002, 'Error while decoding payload.'],
  ['more than 4096 bytes', (send) => send(`{"op":1,"d":"${'x'.repeat(4096)}"}`), 4002, 'Error while decoding payload.'],
  [
    'an IDENTIFY without properties',
    (send) => send(`{"op":2,"d":{"token":"${TOKEN}"}}`),
    4002,
    'Error while decoding payload.',
  ],
  ['an unknown opcode', (send) => send('{"op":99,"d":null}'), 4001, 'Unknown opcode.'],
  ['a presence that says nothing', (send) => send('{"op":3,"d":{}}'), 4002, 'Error while decoding payload.'],
  [
    'a presence before IDENTIFY',
    (send) => send('{"op":3,"d":{"since":null,"activities":[],"status":"idle","afk":false}}'),
    4003,
    'Not authenticated.',
  ],
])('%s is closed', async (_name, act, code, reason) => {
  const simulator = await start()
  const client = connect(simulator)
  await client.op(10)
  act((data) => client.ws.send(data))
  expect(await client.closed).toEqual({ code, reason })
  expect(simulator.stats().violations.protocol).toBe(1)
})

test('4096 bytes are still fine', async () => {
  const client = connect(await start())
  await client.op(10)
  const rest = '{"op":1,"d":""}'.length
  client.ws.send(`{"op":1,"d":"${'x'.repeat(4096 - rest)}"}`)
  await client.op(11)
})

test('a wrong token is closed with 4004, in IDENTIFY and in RESUME', async () => {
  const simulator = await start()
  const client = connect(simulator)
  await client.identify(fakeToken('2'), [0, 1])
  expect(await client.closed).toEqual({ code: 4004, reason: 'Authentication failed.' })
  const other = connect(simulator)
  await other.op(10)
  other.send(6, { token: 'wrong', session_id: 'x', seq: 1 })
  expect((await other.closed).code).toBe(4004)
})

test('the token may carry `Bot ` in front, as discordeno sends it', async () => {
  await connect(await start()).ready(`Bot ${TOKEN}`, [0, 1])
})

test('a second IDENTIFY is closed with 4005', async () => {
  const client = connect(await start({}, { maxConcurrency: 1 }))
  await client.ready(TOKEN, [0, 1])
  await client.identify(TOKEN, [0, 1])
  expect((await client.closed).code).toBe(4005)
})

test.each([
  ['4010 outside the range', [4, 4], 1, {}, 4010],
  ['4010 for a count that is no multiple', [0, 5000], 1, { shardMultiple: 16 }, 4010],
  ['4011 when sharding is required', undefined, 1, { requiredShards: 2 }, 4011],
  ['4013 for an unknown intent', [0, 1], 1 << 22, {}, 4013],
  ['4014 for a disallowed one', [0, 1], 1 << 15, { disallowedIntents: 1 << 15 }, 4014],
] as const)('IDENTIFY: %s', async (_name, shard, intents, bot, code) => {
  const client = connect(await start({}, bot))
  await client.identify(TOKEN, shard, intents)
  expect((await client.closed).code).toBe(code)
})

test('an IDENTIFY before its bucket is free is op 9, and the connection may try again', async () => {
  const clock = new ManualClock()
  const simulator = await start({}, { maxConcurrency: 2 }, clock)
  const [first, other, early] = [connect(simulator), connect(simulator), connect(simulator)]
  await first.ready(TOKEN, [0, 4])
  await other.ready(TOKEN, [1, 4])
  clock.advance(4999)
  await early.identify(TOKEN, [2, 4])
  expect(await early.op(9)).toEqual({ t: null, s: null, op: 9, d: false })
  expect(simulator.stats().violations.bucket).toBe(1)
  expect(simulator.stats().violationDetails[0]?.detail).toContain('shard 2/4')
  clock.advance(1)
  await early.ready(TOKEN, [2, 4])
  expect(simulator.stats({ detail: true }).bots[0]?.shards?.['2/4']).toMatchObject({ identifies: 2, connected: true })
})

test('one IDENTIFY beyond the day resets the token: everybody is closed with 4004, REST answers 401', async () => {
  const simulator = await start({ identifyWindowMs: 1 }, { sessionStartTotal: 1 })
  const first = connect(simulator)
  await first.ready(TOKEN, [0, 2])
  const second = connect(simulator)
  await second.identify(TOKEN, [1, 2])
  expect([(await first.closed).code, (await second.closed).code]).toEqual([4004, 4004])
  expect(simulator.stats()).toMatchObject({ sessions: 0, violations: { startLimit: 1 }, bots: [{ tokenReset: true }] })
  const answer = await fetch(`${simulator.url}/api/v10/gateway/bot`, { headers: { authorization: `Bot ${TOKEN}` } })
  expect(answer.status).toBe(401)
})

test('the 121st payload of a minute is closed with 4008, and the session can be resumed', async () => {
  const simulator = await start()
  const client = connect(simulator)
  const ready = await client.ready(TOKEN, [0, 1])
  for (let i = 0; i < 120; i += 1) client.send(1, null)
  expect((await client.closed).code).toBe(4008)
  expect(simulator.stats().violations.sendLimit).toBe(1)
  const again = connect(simulator)
  await again.op(10)
  again.send(6, { token: TOKEN, session_id: ready.d.session_id, seq: 1 })
  await again.event('RESUMED')
})

test('a client that does not beat is closed with 4009 and its session is over; one that beats is not', async () => {
  const clock = new ManualClock()
  const simulator = await start({}, {}, clock)
  const [silent, alive] = [connect(simulator), connect(simulator)]
  const ready = await silent.ready(TOKEN, [0, 2])
  await alive.ready(TOKEN, [1, 2])
  clock.advance(41_250)
  alive.send(1, null)
  await alive.op(11)
  clock.advance(20_000)
  expect(simulator.stats().violations.heartbeat).toBe(0)
  clock.advance(1_626)
  expect((await silent.closed).code).toBe(4009)
  expect(simulator.stats().violations.heartbeat).toBe(1)
  expect(alive.ws.readyState).toBe(alive.ws.OPEN)
  const again = connect(simulator)
  await again.op(10)
  again.send(6, { token: TOKEN, session_id: ready.d.session_id, seq: 1 })
  await again.op(9)
})

test('two live connections of one shard are seen', async () => {
  const simulator = await start({ identifyWindowMs: 1 })
  await connect(simulator).ready(TOKEN, [0, 2])
  await new Promise((resolve) => setTimeout(resolve, 5))
  await connect(simulator).ready(TOKEN, [0, 2])
  expect(simulator.stats().violations.doubleOwner).toBe(1)
})

test('Request Guild Members is answered with the nonce, as an event of that shard', async () => {
  const client = connect(await start())
  const ready = await client.ready(TOKEN, [0, 1])
  const guild = ready.d.guilds[0].id
  client.send(8, { guild_id: guild, query: '', limit: 0, nonce: 'n1' })
  expect((await client.event('GUILD_MEMBERS_CHUNK')).d).toMatchObject({ guild_id: guild, nonce: 'n1', chunk_count: 1 })
  client.send(8, { guild_id: guild, query: '', limit: 0, nonce: 'n2' })
  const limited = (await client.event('RATE_LIMITED')).d
  expect(limited).toMatchObject({ opcode: 8, meta: { guild_id: guild, nonce: 'n2' } })
  expect(limited.retry_after).toBeGreaterThan(0)
})

test('any well-formed token is a bot of its own, when asked for', async () => {
  const simulator = await start({ acceptAnyToken: true }, { maxConcurrency: 1 })
  await connect(simulator).ready(TOKEN, [0, 1])
  expect((await connect(simulator).ready(fakeToken('42'), [0, 1])).d.user.id).toBe('42')
  const wrong = connect(simulator)
  await wrong.identify('nonsense', [0, 1])
  expect((await wrong.closed).code).toBe(4004)
  expect(simulator.stats().bots.map(({ readies }) => readies)).toEqual([1, 1])
})
