import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { ownManifest, SHARDS } from './own-manifest.ts'
import { descendants, Program, ROOT } from './program.ts'

let program: Program | undefined
afterEach(async () => {
  if (program && program.child.exitCode === null && program.child.signalCode === null) await program.end('SIGKILL')
  program = undefined
})

describe('npm start', () => {
  it('brings shards up, receives events, moves ranges when the file is saved, and leaves nothing behind', async () => {
    program = new Program(['local'])
    await program.says(/^shards \d+\/64 /)
    await program.says(/all shards are connected/)
    const hint = await program.says(/set totalWorkers to 4 and save it/)
    const file = hint.match(/edit (\S+):/)?.[1] ?? ''
    const events = await program.says(/^events [1-9]\d* .*workers 0-31:32 32-63:32/)
    expect(events).toContain('shards 64/64')
    const at = program.lines.length
    writeFileSync(file, readFileSync(file, 'utf8').replace('totalWorkers: 2', 'totalWorkers: 4'))
    await program.says(/bot\.yaml was applied/, at)
    await program.says(/^events \d+ .*workers 0-15:16 16-31:16 32-47:16 48-63:16/, at)
    expect(descendants(program.child.pid ?? 0)).toHaveLength(4)
    const fewer = program.lines.length
    writeFileSync(file, readFileSync(file, 'utf8').replace('totalWorkers: 4', 'totalWorkers: 2'))
    await program.says(/^events \d+ .*workers 0-31:32 32-63:32/, fewer)
    // Without waiting for a manager that listens: theirs does, until they are gone.
    await expect.poll(() => descendants(program?.child.pid ?? 0), { timeout: 10_000 }).toHaveLength(2)
    const again = program.lines.length
    writeFileSync(file, readFileSync(file, 'utf8').replace('totalWorkers: 2', 'totalWorkers: four'))
    await program.says(/bot\.yaml:\d+: spec\.totalWorkers: /, again)
    await program.says(/The file is not applied; what runs goes on/, again)
    expect(await program.end('SIGTERM')).toEqual({ code: 0, left: [] })
  })

  it('ends cleanly on Ctrl-C in the middle of the start', async () => {
    program = new Program(['local'])
    await program.says(/^shards \d+\/64 /)
    expect(await program.end('SIGINT')).toEqual({ code: 0, left: [] })
  })

  it('says what is wrong with a manifest, with file and line', async () => {
    const file = join(ROOT, 'test/sim/local/broken.yaml')
    program = new Program(['local', file])
    expect(await program.says(/broken\.yaml:\d+:/)).toContain(
      'broken.yaml:6: spec.totalShards: 100 shards do not fit on 1 workers of 10',
    )
    expect(await program.exited()).toBe(1)
  })

  it('keeps its sessions: a worker that is killed, and a run that ends and is started again, cost no IDENTIFY', async () => {
    const { file, environment, discord } = await ownManifest()
    const resumed = (count: number) =>
      expect.poll(() => discord.stats(), { timeout: 60_000 }).toMatchObject({ resumes: count, connectedShards: SHARDS })
    program = new Program(['local', file], environment)
    await program.says(/all shards are connected/i)
    expect(discord.stats()).toMatchObject({ identifies: SHARDS, resumes: 0 })
    const [worker = 0] = descendants(program.child.pid ?? 0)
    process.kill(worker, 'SIGKILL')
    await program.says(/worker \d ended \(SIGKILL\) and is started again/)
    await resumed(SHARDS / 2)
    expect((await program.end('SIGTERM')).code).toBe(0)
    expect(discord.stats()).toMatchObject({ connectedShards: 0, sessions: SHARDS })

    program = new Program(['local', file], environment)
    await resumed(SHARDS / 2 + SHARDS)
    await program.says(/all shards are connected/i)
    expect(discord.stats()).toMatchObject({ identifies: SHARDS, resumesRefused: 0 })
    expect((await program.end('SIGTERM')).left).toEqual([])
  })
})
