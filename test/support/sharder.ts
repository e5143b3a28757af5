import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type RunningSharder, startSharder } from '../../sharder/main.ts'
import { httpWorker, workerAgent } from '../../src/manager/http-worker.ts'
import type { WorkerPort } from '../../src/manager/ports.ts'
import { WorkerView } from '../../src/manager/worker-view.ts'
import type { HttpSettings, SinkSettings } from '../../src/protocol/sink-settings.ts'
import type { ShardRecord } from '../../src/protocol/state.ts'
import { type WorkerSettings, workerEnvironment } from '../../src/protocol/worker-settings.ts'
import { createLogger } from '../../src/support/logger.ts'

export const KEY = 'a key for tests'

/** An event as the bot got it. */
export interface Received {
  readonly shardId: number
  readonly t: string
  readonly s: number
  /** The simulator's own count of the shard's events; undefined for READY and RESUMED. */
  readonly n: number | undefined
}

/** A bot: keeps what it is posted, and answers as it is told. */
export class RecordingBot {
  readonly received: Received[] = []
  batches = 0
  /** Answers a request; the default keeps the events and says 204. Throwing resets the connection. */
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => void | Promise<void>
  readonly #server = createServer((request, response) => void this.#take(request, response))
  url = ''

  constructor() {
    this.answer = (_request, response, body) => {
      this.keep(body)
      response.writeHead(204).end()
    }
  }

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    this.url = `http://127.0.0.1:${(this.#server.address() as { port: number }).port}/events`
    return this
  }

  keep(body: string): void {
    this.batches++
    for (const line of body.split('\n')) {
      if (line === '') continue
      const { shardId, payload } = JSON.parse(line) as {
        shardId: number
        payload: { t: string; s: number; d: { sim_n?: number } }
      }
      this.received.push({ shardId, t: payload.t, s: payload.s, n: payload.d.sim_n })
    }
  }

  /** The counts of a shard's events, in the order of arrival. */
  counts(shardId: number): number[] {
    return this.received.flatMap((event) => (event.shardId === shardId && event.n !== undefined ? [event.n] : []))
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = []
    try {
      for await (const part of request) parts.push(part as Buffer)
      await this.answer(request, response, Buffer.concat(parts).toString('utf8'))
    } catch {
      request.socket.destroy()
    }
  }
}

/** A worker under test: how to talk to it, and what it says of itself. */
export interface TestWorker {
  readonly url: string
  readonly port: WorkerPort
  /** Kept true by a state stream. */
  readonly view: WorkerView
  readonly settings: WorkerSettings
  shard(shardId: number): ShardRecord | undefined
  /** Closes the state stream, as a manager that is gone does. Resolves when the worker knows. */
  stopListening(): Promise<void>
  listenAgain(): WorkerView
  /** Resolves when the condition holds; the test's own time-out is the only limit. */
  until(condition: () => boolean): Promise<void>
  /** As SIGTERM does. */
  drain(): Promise<void>
  /** As kill -9 does: only of a worker in a process of its own. */
  kill(): Promise<void>
  readonly pid: number
}

export interface TestWorkerOptions {
  readonly token: string
  readonly sinkUrl: string
  readonly workerId?: number
  readonly threads?: number
  readonly stateDirectory?: string
  readonly sinkKey?: string
  readonly graceSeconds?: number
  /** Default: this machine, as the simulated Discord is there. */
  readonly gatewayHosts?: readonly string[]
  readonly environment?: Record<string, string>
  /** Changes the http sink, or comes in its place. */
  readonly http?: Partial<HttpSettings>
  readonly sinks?: readonly SinkSettings[]
}

/** Starts workers and ends what is left of them. */
export class Workers {
  readonly #ends: (() => Promise<unknown>)[] = []
  readonly #agent = workerAgent()

  /** In this process (its threads are real). */
  async here(options: TestWorkerOptions): Promise<TestWorker> {
    const settings = await this.#settings(options)
    const sharder: RunningSharder = await startSharder(settings, createLogger('sharder', settings.logLevel))
    this.#ends.push(() => sharder.drain())
    return this.#connect(sharder.port, settings, { drain: () => sharder.drain(), kill: notHere, pid: process.pid })
  }

  /** In a process of its own. */
  async process(options: TestWorkerOptions): Promise<TestWorker> {
    const settings = await this.#settings(options)
    const main = fileURLToPath(new URL('../../sharder/main.ts', import.meta.url))
    const env = { ...process.env, ...workerEnvironment(settings), ...options.environment }
    const child = spawn(process.execPath, [main], { stdio: ['ignore', 'pipe', 'inherit'], env })
    const exited = once(child, 'exit')
    const end = async (signal: NodeJS.Signals) => {
      child.kill(signal)
      await exited
    }
    this.#ends.push(() => end('SIGKILL'))
    const port = await listeningPort(child)
    const control = { drain: () => end('SIGTERM'), kill: () => end('SIGKILL'), pid: child.pid ?? 0 }
    return this.#connect(port, settings, control)
  }

  async close(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end()
    await this.#agent.destroy()
  }

  #connect(port: number, settings: WorkerSettings, control: Pick<TestWorker, 'drain' | 'kill' | 'pid'>): TestWorker {
    const url = `http://127.0.0.1:${port}`
    const workerPort = httpWorker({ url, keys: () => [KEY], dispatcher: this.#agent })
    const view = new WorkerView(settings.workerId)
    let stopped = new AbortController()
    const listenAgain = () => {
      stopped = new AbortController()
      const stream = workerPort.watch((record) => void view.apply(record, performance.now()), stopped.signal)
      stream.catch(() => undefined)
      this.#ends.push(async () => {
        stopped.abort()
        await stream.catch(() => undefined)
      })
      return view
    }
    listenAgain()
    const stopListening = async () => {
      stopped.abort()
      while (!/state_readers 0\n/.test(await (await fetch(`${url}/metrics`)).text())) await setTimeout(5)
    }
    const shard = (shardId: number) => view.shards.get(shardId)
    return { url, port: workerPort, view, settings, shard, until, stopListening, listenAgain, ...control }
  }

  async #settings(options: TestWorkerOptions): Promise<WorkerSettings> {
    const directory = await mkdtemp(join(tmpdir(), 'sharder-test-'))
    this.#ends.push(() => rm(directory, { recursive: true, force: true }))
    const file = async (name: string, text: string) => {
      await writeFile(join(directory, name), text)
      return join(directory, name)
    }
    const authorizationFile = options.sinkKey === undefined ? undefined : await file('sink', options.sinkKey)
    const authorization = authorizationFile !== undefined && { authorizationFile }
    const http = { url: options.sinkUrl, ...authorization, ...options.http }
    return {
      workerId: options.workerId ?? 0,
      host: '127.0.0.1',
      port: 0,
      threads: options.threads ?? 1,
      tokenFile: await file('token', `${options.token}\n`),
      authorizationFile: await file('key', KEY),
      sinks: options.sinks ?? [{ name: 'bot', http }],
      gatewayHosts: options.gatewayHosts ?? ['ws://127.0.0.1'],
      logLevel: process.env['TEST_LOG_LEVEL'] ?? 'silent',
      graceSeconds: options.graceSeconds ?? 30,
      ...(options.stateDirectory !== undefined && { stateDirectory: options.stateDirectory }),
    }
  }
}

const notHere = () => Promise.reject(new Error('a worker in this process cannot be killed'))

/** Waits until `condition` holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setTimeout(5)
}

async function listeningPort(child: ChildProcess): Promise<number> {
  if (!child.stdout) throw new Error('the child has no standard output')
  for await (const line of createInterface({ input: child.stdout })) {
    const { listening } = JSON.parse(line) as { listening?: number }
    if (listening !== undefined) return listening
  }
  throw new Error('the worker ended before it listened')
}
