import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Dispatcher } from 'undici'
import { z } from 'zod'
import { httpWorker } from '../manager/http-worker.ts'
import type { WorkerRef } from '../manager/ports.ts'
import { WORKER_RUNTIME, type WorkerSettings, workerEnvironment } from '../protocol/worker-settings.ts'
import { backoffDelay } from '../support/backoff.ts'
import { type Cancel, systemClock } from '../support/clock.ts'
import { MovingPort } from './worker-port.ts'

const SHARDER = fileURLToPath(new URL('../../sharder/main.ts', import.meta.url))

/** Types are stripped once, not in each process: 35 MB and half a second a worker (measured). As in the image. */
const COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/compile', import.meta.url))

const listeningSchema = z.object({ listening: z.int().min(1) })

export interface WorkerProcessOptions {
  readonly settings: WorkerSettings
  /** Outlives its processes, not the worker: what an emptyDir is to a pod. */
  readonly stateDirectory: string
  /** The key in `settings.authorizationFile`. */
  readonly authorization: string
  readonly dispatcher: Dispatcher
  readonly logFile: string
  /** Time it has to drain before it is killed, in milliseconds. */
  readonly graceMs: number
  /** It listens now, or it is gone. */
  readonly onChange: () => void
  /** For people. */
  readonly onTrouble: (message: string) => void
}

/** Tells one worker from its successor of the same ordinal. */
let workersEver = 0

/** One worker as a child process, started again when it ends by itself: what a pod and its kubelet are in Kubernetes. */
export class WorkerProcess {
  readonly settings: WorkerSettings
  readonly #options: WorkerProcessOptions
  readonly #uid = `${process.pid}/${++workersEver}`
  #child: ChildProcess | undefined
  #port: MovingPort | undefined
  #running = false
  #exited: Promise<void> = Promise.resolve()
  #restart: Cancel | undefined
  #failures = 0
  #stopped: Promise<void> | undefined

  constructor(options: WorkerProcessOptions) {
    this.#options = options
    this.settings = options.settings
    this.#start()
  }

  /** The worker as the manager needs it; undefined before its first process listens. */
  get ref(): WorkerRef | undefined {
    const { workerId: ordinal } = this.settings
    if (!this.#port) return undefined
    return { ordinal, uid: this.#uid, name: `worker-${ordinal}`, port: this.#port, running: this.#running }
  }

  /** It was told to end. */
  get stopping(): boolean {
    return this.#stopped !== undefined
  }

  /** SIGTERM, once, and SIGKILL when the grace is over. Resolves when the process is gone. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    this.#restart?.()
    this.#child?.kill('SIGTERM')
    const kill = systemClock.after(this.#options.graceMs, () => this.#child?.kill('SIGKILL'))
    await this.#exited
    kill()
  }

  #start(): void {
    const { settings, logFile, stateDirectory } = this.#options
    // Only what Node needs: a token in this process' environment is nobody's business there.
    const { PATH = '', HOME = '', NODE_COMPILE_CACHE = COMPILE_CACHE, NODE_EXTRA_CA_CERTS } = process.env
    const child = spawn(process.execPath, [SHARDER], {
      // The channel is how it notices that this process is gone, even by kill -9.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: {
        PATH,
        HOME,
        NODE_COMPILE_CACHE,
        ...(NODE_EXTRA_CA_CERTS && { NODE_EXTRA_CA_CERTS }),
        ...WORKER_RUNTIME,
        ...workerEnvironment({ ...settings, stateDirectory }),
      },
    })
    this.#child = child
    child.stderr?.pipe(createWriteStream(logFile, { flags: 'a', mode: 0o600 }))
    if (child.stdout) createInterface({ input: child.stdout }).on('line', (line) => this.#heard(line, child))
    this.#exited = new Promise((resolve) => {
      child.once('error', (error) =>
        this.#options.onTrouble(`worker ${settings.workerId} cannot be started: ${error.message}`),
      )
      child.once('close', (code, signal) => {
        this.#gone(code, signal)
        resolve()
      })
    })
  }

  #heard(line: string, child: ChildProcess): void {
    const said = listeningSchema.safeParse(parsed(line))
    if (!said.success || child.pid === undefined) return
    const { authorization, dispatcher, onChange } = this.#options
    const port = httpWorker({ url: `http://127.0.0.1:${said.data.listening}`, keys: () => [authorization], dispatcher })
    if (this.#port) this.#port.moveTo(port)
    else this.#port = new MovingPort(port)
    this.#running = true
    this.#failures = 0
    onChange()
  }

  #gone(code: number | null, signal: NodeJS.Signals | null): void {
    this.#running = false
    this.#options.onChange()
    if (this.stopping) return
    const { settings, logFile, onTrouble } = this.#options
    onTrouble(
      `worker ${settings.workerId} ended (${signal ?? `exit code ${code}`}) and is started again; its log: ${logFile}`,
    )
    const delay = backoffDelay(++this.#failures, { baseMs: 250, capMs: 30_000, random: Math.random })
    this.#restart = systemClock.after(delay, () => this.#start())
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
