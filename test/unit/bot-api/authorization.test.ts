import { describe, expect, it } from 'vitest'
import { KEY_MS } from '../../../src/bot-api/authorization.ts'
import { KEY, worlds } from './world.ts'

const { start } = worlds()

describe('whoever has no key', () => {
  it('gets one answer, whatever is wrong, and learns of no ShardCluster', async () => {
    const world = await start()
    const answers = await Promise.all([
      world.call('GET', '', undefined, null),
      world.call('GET', '', undefined, 'Bearer wrong'),
      world.call('GET', '', undefined, KEY),
      world.call('GET', '', undefined, `Bot ${KEY}`),
      world.raw('GET', '/v1/shardclusters/ns/other'),
      world.raw('GET', '/v1/shardclusters/other/bot/shards/9'),
      world.raw('GET', `/v1/shardclusters/${'n'.repeat(64)}/bot`),
      world.call('POST', '/shards/0/payloads', 'no JSON', 'Bearer wrong'),
    ])
    const [first] = answers
    expect(first).toMatchObject({ status: 401, body: { code: 'UNAUTHORIZED' } })
    expect(first?.body.message).toContain('spec.api.authorizationSecretRef')
    expect(first?.headers.get('www-authenticate')).toBe('Bearer')
    for (const { status, body } of answers) expect({ status, body }).toEqual({ status: 401, body: first?.body })
    expect(world.sent).toEqual([])
  })

  it('is told what to set where the API is not enabled, with the right key too', async () => {
    const world = await start()
    world.enabled = false
    const { status, body } = await world.call('GET', '')
    expect({ status, code: body.code }).toEqual({ status: 403, code: 'API_DISABLED' })
    expect(body.message).toContain('set spec.api.authorizationSecretRef')
  })

  it('is let in by no empty key, and by no missing one', async () => {
    const world = await start()
    for (const secret of ['', undefined]) {
      world.secret = secret
      await world.pass(KEY_MS)
      for (const given of ['Bearer ', 'Bearer undefined', null])
        expect((await world.call('GET', '', undefined, given)).status).toBe(401)
    }
    expect(world.logged.join('')).toContain('leads to no key')
  })
})

describe('a key', () => {
  it('is read once in 10 s, however many ask at once, and a new one counts then', async () => {
    const world = await start()
    const all = await Promise.all(Array.from({ length: 20 }, () => world.call('GET', '')))
    expect(all.map(({ status }) => status)).toEqual(Array(20).fill(200))
    expect(world.reads).toBe(1)
    world.secret = 'the-next-key'
    await world.pass(KEY_MS - 1)
    expect((await world.call('GET', '')).status).toBe(200)
    await world.pass(1)
    expect((await world.call('GET', '')).status).toBe(401)
    expect((await world.call('GET', '', undefined, 'Bearer the-next-key')).status).toBe(200)
    expect((await world.call('GET', '', undefined, 'bearer  the-next-key')).status).toBe(200)
    expect(world.reads).toBe(2)
  })

  it('that cannot be read says so, and counts on as long as it was read before', async () => {
    const world = await start()
    world.secret = new Error('the API server is away')
    const refused = await world.call('GET', '')
    expect(refused).toMatchObject({ status: 503, body: { code: 'KEY_UNREADABLE', retry_after: 1 } })
    expect(refused.headers.get('retry-after')).toBe('1')
    world.secret = KEY
    await world.pass(1_000)
    expect((await world.call('GET', '')).status).toBe(200)
    world.secret = new Error('away again')
    await world.pass(KEY_MS)
    expect((await world.call('GET', '')).status).toBe(200)
    expect((await world.call('GET', '', undefined, 'Bearer wrong')).status).toBe(401)
  })

  it('is in no log and in no answer', async () => {
    const world = await start()
    const wrong = 'a-key-that-is-wrong'
    const answers = [
      await world.call('GET', ''),
      await world.call('GET', '', undefined, `Bearer ${wrong}`),
      await world.call('POST', '/shards/0/payloads', '{', `Bearer ${KEY}`),
    ]
    world.secret = new Error('away')
    await world.pass(KEY_MS)
    answers.push(await world.call('GET', ''))
    const said = world.logged.join('') + answers.map(({ body }) => JSON.stringify(body)).join('')
    expect(said).not.toContain(KEY)
    expect(said).not.toContain(wrong)
  })
})

describe('a standby', () => {
  it('refuses everybody and closes the connection, until it leads and after it did', async () => {
    const world = await start(false)
    for (const authorization of [`Bearer ${KEY}`, null]) {
      const answer = await world.call('GET', '', undefined, authorization)
      expect(answer).toMatchObject({ status: 503, body: { code: 'NOT_LEADING', retry_after: 1 } })
      expect([answer.headers.get('retry-after'), answer.headers.get('connection')]).toEqual(['1', 'close'])
    }
    const standDown = world.serve()
    expect((await world.call('GET', '')).status).toBe(200)
    standDown()
    expect((await world.call('GET', '')).status).toBe(503)
  })
})
