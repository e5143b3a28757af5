import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Order, Outcome } from '../children/orders.ts'

/** A child that says nothing for this long is broken, in milliseconds: the machine may be busy. */
const START_TIMEOUT_MS = 120_000
/** Time to end by itself, in milliseconds. */
const GRACE_MS = 10_000
const STDERR_KEPT = 4_000

/**
 * NODE_OPTIONS of the simulator and the sinks. V8's helpers are four in each process, and those that mark the heap of
 * one take the cores from all others, which then looks like the forwarder's latency; `Child.collectGarbage` leaves them
 * little to do. The sharder has what WORKER_RUNTIME says, and the peers run as their users run them.
 */
export const MEASURING_RUNTIME = '--v8-pool-size=1 --expose-gc'

export interface ChildOptions {
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A process of a measurement: everything has its own, so that nobody's work is counted as somebody else's. */
export class Child {
  readonly pid: number
  /** What it said when it was ready: the first line of JSON on its standard output. */
  readonly said: unknown
  readonly #process: ChildProcess
  readonly #exited: Promise<void>
  #asked = 0

  private constructor(process: ChildProcess, said: unknown, exited: Promise<void>) {
    this.#process = process
    this.pid = process.pid as number
    this.said = said
    this.#exited = exited
  }

  /** Starts `file` and resolves with what it says first. @throws Error with its standard error when it ends instead. */
  static async start(file: URL, { args = [], env = {} }: ChildOptions = {}): Promise<Child> {
    const { PATH = '', HOME = '' } = process.env
    const child = spawn(process.execPath, [fileURLToPath(file), ...args], {
      // The channel is how it notices that the benchmark is gone, even by kill -9.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { PATH, HOME, ...env },
    })
    const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
    try {
      return new Child(child, await firstLine(child, file), exited)
    } catch (error) {
      child.kill('SIGKILL')
      throw error
    }
  }

  /**
   * Asks a child that takes orders (children/orders.ts) to do something, and resolves with what came of it.
   * @throws Error with what went wrong there, or that it ended meanwhile.
   */
  ask<T>(name: string, input?: unknown): Promise<T> {
    const id = ++this.#asked
    return new Promise((resolve, reject) => {
      const ended = () => settle(() => reject(new Error(`the child ended instead of answering ${name}`)))
      const heard = (outcome: Outcome) => {
        if (outcome.id !== id) return
        if (outcome.error === undefined) settle(() => resolve(outcome.result as T))
        else settle(() => reject(new Error(`${name}: ${outcome.error}`)))
      }
      const settle = (action: () => void) => {
        this.#process.off('message', heard).off('close', ended)
        action()
      }
      this.#process.on('message', heard).once('close', ended)
      this.#process.send({ id, name, input } satisfies Order)
    })
  }

  /** So that it need not happen while something is timed. For children that take orders and have MEASURING_RUNTIME. */
  collectGarbage(): Promise<void> {
    return this.ask('collect')
  }

  /** SIGTERM, and SIGKILL when it does not end. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#process.kill('SIGTERM')
    const kill = setTimeout(() => this.#process.kill('SIGKILL'), GRACE_MS)
    await this.#exited
    clearTimeout(kill)
  }
}

function firstLine(child: ChildProcess, file: URL): Promise<unknown> {
  let out = ''
  let complaints = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    complaints = (complaints + chunk).slice(-STDERR_KEPT)
  })
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`${file.pathname} ${why}\n${complaints}`))
    const timer = setTimeout(() => fail(`said nothing for ${START_TIMEOUT_MS / 1000} s`), START_TIMEOUT_MS)
    child.once('error', (error) => fail(`cannot be started: ${error.message}`))
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      fail(`ended (${signal ?? code})`)
    })
    child.stdout?.on('data', (chunk: Buffer) => {
      if (out.includes('\n')) return
      out += chunk
      const [line, rest] = out.split('\n', 2)
      if (rest === undefined || line === undefined) return
      clearTimeout(timer)
      resolve(JSON.parse(line))
    })
  })
}
