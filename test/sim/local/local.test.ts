import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '..', '..', '..')

/** A run of the program with what it printed so far. */
class Program {
  readonly child: ChildProcess
  readonly lines: string[] = []
  readonly #exited: Promise<number | null>

  constructor(args: readonly string[]) {
    this.child = spawn(process.execPath, ['src/cli/main.ts', ...args], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.child.stdout, this.child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.lines.push(line))
    }
    this.#exited = new Promise((resolve) => this.child.once('close', resolve))
  }

  /** The first line, from line `from` on, that matches. */
  async says(pattern: RegExp, from = 0): Promise<string> {
    await expect
      .poll(() => this.lines.slice(from).find((line) => pattern.test(line)), {
        timeout: 60_000,
        message: this.lines.join('\n'),
      })
      .toBeDefined()
    return this.lines.slice(from).find((line) => pattern.test(line)) ?? ''
  }

  /** The exit code of a program that ends by itself. */
  exited(): Promise<number | null> {
    return this.#exited
  }

  /** Exit code, and the process ids that it leaves behind. */
  async end(signal: NodeJS.Signals): Promise<{ code: number | null; left: number[] }> {
    const family = descendants(this.child.pid ?? 0)
    this.child.kill(signal)
    const code = await this.#exited
    return { code, left: family.filter(isAlive) }
  }
}

/** Processes below `pid`, from /proc: the workers. */
function descendants(pid: number): number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name): [number, number] => [Number(name), parentOf(Number(name))])
  const below = (of: number): number[] =>
    parents.filter(([, parent]) => parent === of).flatMap(([child]) => [child, ...below(child)])
  return below(pid)
}

function parentOf(pid: number): number {
  try {
    return Number(
      readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/.*\) . /s, '')
        .split(' ')[0],
    )
  } catch {
    return 0
  }
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

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
    const again = program.lines.length
    writeFileSync(file, readFileSync(file, 'utf8').replace('totalWorkers: 4', 'totalWorkers: four'))
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
})
