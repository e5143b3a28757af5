import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect } from 'vitest'

export const ROOT = join(import.meta.dirname, '..', '..', '..')

/** A run of the program with what it printed so far. */
export class Program {
  readonly child: ChildProcess
  readonly lines: string[] = []
  readonly #exited: Promise<number | null>

  constructor(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    const env = { ...process.env, ...environment }
    const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe']
    this.child = spawn(process.execPath, ['src/cli/main.ts', ...args], { cwd: ROOT, stdio, env })
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
export function descendants(pid: number): number[] {
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
