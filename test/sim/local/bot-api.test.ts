import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { shardOfGuild } from '../../../src/domain/guild-shard.ts'
import { ownManifest, SHARDS } from './own-manifest.ts'
import { Program, ROOT } from './program.ts'

const KEY = 'key-of-the-bot-api'
/** The guild of docs/bot-api.md. */
const GUILD = '81384788765712384'
const SHARD = shardOfGuild(GUILD, SHARDS)

interface Event {
  readonly shardId: number
  readonly payload: { readonly t: string; readonly d: Record<string, unknown> }
}

let program: Program
let url: string
let own: Awaited<ReturnType<typeof ownManifest>>
let events: Event[]
beforeEach(async () => {
  own = await ownManifest({
    keys: { 'api-authorization': KEY },
    spec: { api: { authorizationSecretRef: { name: 'bot' } } },
  })
  events = []
  own.bot.answer = (_request, response, body) => {
    for (const line of body.split('\n')) if (line !== '') events.push(JSON.parse(line) as Event)
    response.writeHead(204).end()
  }
  program = new Program(['local', own.file], own.environment)
  const line = await program.says(/The API for bots is at http/)
  url = `${line.match(/http:\S+(?=:)/)?.[0]}/v1/shardclusters/default/bot`
  await program.says(/all shards are connected/i)
})
afterEach(async () => {
  expect(await program.end('SIGTERM')).toEqual({ code: 0, left: [] })
})

async function call(method: string, path: string, body?: unknown, key = KEY) {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  // biome-ignore lint/suspicious/noExplicitAny: what it is, is what the tests ask
  return { status: response.status, headers: response.headers, body: (await response.json()) as any }
}
const received = (op: number) => own.discord.stats().receivedOps[op] ?? 0
const violations = () => own.discord.stats().violations
const HARMLESS = { sendLimit: 0, protocol: 0, doubleOwner: 0, heartbeat: 0 }

describe('the API for bots in local mode', () => {
  it('tells how the shards are, sets presence on each of them, and brings the members of a guild as events', async () => {
    expect(await call('GET', '')).toMatchObject({
      status: 200,
      body: {
        totalShards: SHARDS,
        states: { Connected: SHARDS },
        workers: [{ shards: SHARDS / 2 }, { shards: SHARDS / 2 }],
      },
    })
    const presence = { status: 'idle', activities: [{ name: 'chess', type: 0 }] }
    expect(await call('PUT', '/presence', presence)).toMatchObject({ status: 200, body: { sent: SHARDS, notSent: [] } })
    await expect.poll(() => received(3)).toBe(SHARDS)

    const ask = { query: '', limit: 0, nonce: 'one' }
    expect((await call('POST', `/guilds/${GUILD}/members`, ask)).body).toMatchObject({ shardId: SHARD })
    const chunks = () => events.filter(({ payload: { t } }) => t === 'GUILD_MEMBERS_CHUNK')
    await expect.poll(chunks, { timeout: 30_000 }).toHaveLength(1)
    expect(chunks()[0]).toMatchObject({ shardId: SHARD, payload: { d: { guild_id: GUILD, nonce: 'one' } } })

    const again = await call('POST', `/guilds/${GUILD}/members`, ask)
    expect(again).toMatchObject({ status: 429, body: { code: 'MEMBERS_LIMITED', global: false } })
    expect(Number(again.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(received(8)).toBe(1)
    expect(events.map(({ payload: { t } }) => t)).not.toContain('RATE_LIMITED')
    expect(violations()).toMatchObject(HARMLESS)
  })

  it('keeps the send limit by waiting, and by a clear 429 for whoever does not want to', async () => {
    const payload = { op: 31, d: { guild_ids: [GUILD] } }
    const send = (withinMs: number) => call('POST', `/shards/0/payloads?withinMs=${withinMs}`, payload)
    const asked = Array.from({ length: 121 }, () => send(65_000))
    // Some of the 120 are kept for heartbeats; the others have left, the rest waits for a minute.
    await expect.poll(() => received(31), { timeout: 30_000 }).toBe(116)
    const late = await send(1_000)
    expect(late).toMatchObject({ status: 429, body: { code: 'SEND_LIMITED', global: false } })
    expect(Number(late.headers.get('retry-after'))).toBeGreaterThan(1)
    const other = await call('POST', '/shards/1/payloads?withinMs=0', payload)
    expect(other).toMatchObject({ status: 200, body: { shardId: 1 } })
    const answers = await Promise.all(asked)
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    const waits = answers.map(({ body }) => body.waitedMs).sort((a, b) => a - b)
    expect(waits.filter((waited) => waited > 30_000)).toHaveLength(5)
    await expect.poll(() => received(31)).toBe(122)
    expect(violations()).toMatchObject(HARMLESS)
  })

  it('does what docs/bot-api.md says it does', async () => {
    const text = readFileSync(join(ROOT, 'docs', 'bot-api.md'), 'utf8')
    const blocks = [...text.matchAll(/<!-- curl -->\n```sh\n(.*?)```/gs)].map(([, script = '']) => script)
    expect(blocks).toHaveLength(3)
    for (const script of blocks) {
      const env = { PATH: process.env['PATH'], API: url, KEY }
      await promisify(execFile)('bash', ['-euc', script], { env })
    }
    await expect.poll(() => [3, 4, 8, 31].map(received)).toEqual([SHARDS + 1, 1, 1, 2])
    expect(violations()).toMatchObject(HARMLESS)
  })

  it('takes another key when the file is saved, and refuses the one before', async () => {
    const before = readFileSync(own.file, 'utf8')
    onTestFinished(() => writeFileSync(own.file, before))
    expect((await call('GET', '', undefined, 'next-key')).status).toBe(401)
    writeFileSync(own.file, before.replace(KEY, 'next-key'))
    await program.says(/was applied/)
    await expect.poll(async () => (await call('GET', '', undefined, 'next-key')).status, { timeout: 30_000 }).toBe(200)
    expect((await call('GET', '')).status).toBe(401)
    expect(program.lines.join('\n')).not.toMatch(/key-of-the-bot-api|next-key/)
  })
})
