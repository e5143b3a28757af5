import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ownManifest, SHARDS } from './own-manifest.ts'
import { descendants, Program } from './program.ts'

let root: string
let folders: Record<'XDG_RUNTIME_DIR' | 'TMPDIR', string>
const programs: Program[] = []
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'killed-'))
  folders = { XDG_RUNTIME_DIR: join(root, 'runtime'), TMPDIR: join(root, 'tmp') }
  for (const folder of Object.values(folders)) mkdirSync(folder, { mode: 0o700 })
})
afterEach(async () => {
  for (const program of programs.splice(0))
    if (program.child.exitCode === null && program.child.signalCode === null) await program.end('SIGKILL')
  rmSync(root, { recursive: true })
})

async function connected(file: string, environment: Record<string, string>): Promise<Program> {
  const program = new Program(['local', file], { ...environment, ...folders })
  programs.push(program)
  await program.says(/all shards are connected/i)
  return program
}

/** The directories of a run. */
const runsOf = ({ child: { pid } }: Program): string[] =>
  Object.values(folders).flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.startsWith(`shardcluster-run-${pid}-`))
      .map((name) => join(folder, name)),
  )
const contents = (paths: readonly string[]) => paths.map((path) => readdirSync(path, { recursive: true }).sort())

describe('a local run', () => {
  it('removes what a killed one left behind, and nothing of one that runs', async () => {
    const [first, second] = [await ownManifest(), await ownManifest()]
    const killed = await connected(first.file, first.environment)
    const alive = await connected(second.file, second.environment)
    const [left, kept] = [runsOf(killed), runsOf(alive)]
    expect([left.length, kept.length]).toEqual([2, 2])
    const before = contents(kept)
    await killed.end('SIGKILL')
    // What this is about: the token is still there.
    const token = join(left[0] ?? '', 'secrets', 'bot', 'token')
    expect(readFileSync(first.file, 'utf8')).toContain(readFileSync(token, 'utf8'))

    const next = await connected(first.file, first.environment)
    expect(left.filter(existsSync)).toEqual([])
    for (const path of left) expect(next.lines.join('\n')).toContain(`Removed ${path}: `)
    expect(contents(kept)).toEqual(before)
    expect(second.discord.stats()).toMatchObject({ identifies: SHARDS, connectedShards: SHARDS })
    for (const program of [next, alive]) expect(await program.end('SIGTERM')).toEqual({ code: 0, left: [] })
    expect(Object.values(folders).map((folder) => readdirSync(folder))).toEqual([[], []])
  })

  it('ends as it should when its terminal is gone: sessions are kept, nothing is left', async () => {
    const { file, environment, discord } = await ownManifest()
    const program = await connected(file, environment)
    const family = descendants(program.child.pid ?? 0)
    expect(family).toHaveLength(2)
    // Nobody reads its lines any more, and the kernel tells every process of the terminal. The shell may do so again.
    for (const stream of [program.child.stdout, program.child.stderr]) stream?.destroy()
    for (const pid of [...family, program.child.pid ?? 0]) process.kill(pid, 'SIGHUP')
    expect(await program.end('SIGHUP')).toEqual({ code: 0, left: [] })
    expect(discord.stats()).toMatchObject({ connectedShards: 0, sessions: SHARDS })
    expect(Object.values(folders).map((folder) => readdirSync(folder))).toEqual([[], []])
  })

  it('leaves nothing behind when somebody will not wait for its end', async () => {
    const { file, environment } = await ownManifest()
    const program = await connected(file, environment)
    const workers = descendants(program.child.pid ?? 0)
    // Workers that do not answer: without a second Ctrl-C it waits until their grace is over.
    for (const pid of workers) process.kill(pid, 'SIGSTOP')
    try {
      const interrupted = () => {
        program.child.kill('SIGINT')
        return program.child.exitCode
      }
      await expect.poll(interrupted, { timeout: 10_000 }).toBe(130)
    } finally {
      for (const pid of workers) process.kill(pid, 'SIGKILL')
    }
    expect(Object.values(folders).map((folder) => readdirSync(folder))).toEqual([[], []])
  })
})
