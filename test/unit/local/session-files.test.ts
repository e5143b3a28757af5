import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fileSessionStore, sessionsFolder } from '../../../src/local/session-files.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { aSession } from '../manager/a-link.ts'

let root: string
let folder: string
let clock: VirtualClock
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sessions-'))
  folder = join(root, 'state', 'key')
  clock = new VirtualClock()
})
afterEach(() => rm(root, { recursive: true }))

const store = (everyMs = 0) => fileSessionStore(folder, clock, () => everyMs)
const saved = (shardId: number, connected = false) => ({ ...aSession(shardId), connected })
const modeOf = async (path: string) => (await stat(path)).mode & 0o777

describe('the folder of a manifest', () => {
  test('is another for another manifest, and the same however its path is written', () => {
    const at = (path: string) => sessionsFolder(path, { XDG_STATE_HOME: '/state' })
    expect(at('/a/bot.yaml')).toMatch(/^\/state\/shardcluster\/[0-9a-f]{16}$/)
    expect(at('/a/bot.yaml')).toBe(at('/a/b/../bot.yaml'))
    expect(at('bot.yaml')).toBe(at(join(process.cwd(), 'bot.yaml')))
    expect(at('/a/bot.yaml')).not.toBe(at('/b/bot.yaml'))
  })

  test('is below the home of whoever runs it, unless XDG_STATE_HOME says otherwise', () => {
    for (const environment of [{}, { XDG_STATE_HOME: '' }])
      expect(sessionsFolder('bot.yaml', environment).startsWith(join(homedir(), '.local', 'state'))).toBe(true)
  })
})

describe('sessions in files', () => {
  test('can be read by nobody else', async () => {
    await store().save(0, [saved(0)])
    expect(await modeOf(folder)).toBe(0o700)
    expect(await modeOf(join(folder, 'sessions-0.json'))).toBe(0o600)
  })

  test('stay so in a folder that was open, and whatever lies where a file is written', async () => {
    await mkdir(folder, { recursive: true, mode: 0o755 })
    await chmod(folder, 0o755)
    await writeFile(join(folder, 'sessions-0.json.new'), 'half a file', { mode: 0o644 })
    const elsewhere = join(root, 'elsewhere')
    await writeFile(elsewhere, 'precious')
    await symlink(elsewhere, join(folder, 'sessions-1.json.new'))
    for (const ordinal of [0, 1]) await store().save(ordinal, [saved(ordinal)])
    expect(await modeOf(folder)).toBe(0o700)
    for (const ordinal of [0, 1]) expect(await modeOf(join(folder, `sessions-${ordinal}.json`))).toBe(0o600)
    expect(await readFile(elsewhere, 'utf8')).toBe('precious')
    expect(await store().load()).toHaveLength(2)
  })

  test('are read as old as they are, of every worker; what is saved last of one is what stays', async () => {
    await store().save(0, [saved(0), saved(1)])
    await store().save(1, [saved(5, true)])
    await store().save(0, [saved(0)])
    await clock.advance(40_000)
    const found = await store().load()
    expect(found.map(({ shardId, lastContactMsAgo }) => [shardId, lastContactMsAgo]).sort()).toEqual([
      [0, 40_000],
      [5, 10_000],
    ])
    expect((await store(60_000).load()).find(({ shardId }) => shardId === 5)?.lastContactMsAgo).toBe(0)
    expect((await readdir(folder)).sort()).toEqual(['sessions-0.json', 'sessions-1.json'])
  })

  test('that cannot be read are none, and the others count', async () => {
    expect(await store().load()).toEqual([])
    await store().save(0, [saved(0)])
    await writeFile(join(folder, 'sessions-1.json'), '{"savedAt":')
    await writeFile(join(folder, 'sessions-2.json'), '{"savedAt":1,"sessions":[{}]}')
    await writeFile(join(folder, 'sessions-3.json.new'), await readFile(join(folder, 'sessions-0.json')))
    await mkdir(join(folder, 'sessions-4.json'))
    expect((await store().load()).map(({ shardId }) => shardId)).toEqual([0])
  })

  test('of a clock that ran ahead are not younger than new', async () => {
    await store().save(0, [saved(0)])
    clock.setWall(clock.date().getTime() - 3_600_000)
    expect((await store().load())[0]?.lastContactMsAgo).toBe(0)
  })
})
