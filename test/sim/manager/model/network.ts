import { PassThrough } from 'node:stream'
import type { Answer, WorkerPort } from '../../../../src/manager/ports.ts'
import type { Command } from '../../../../src/protocol/commands.ts'
import type { Session } from '../../../../src/protocol/session.ts'
import type { StateRecord } from '../../../../src/protocol/state.ts'
import type { Random } from '../../../support/random.ts'
import type { VirtualClock } from '../../../support/virtual-clock.ts'
import type { SimWorker } from './worker.ts'

/** What the network, or the worker's HTTP side, does to every exchange with one worker. */
export class Line {
  /** Part of the commands that are carried out and whose answer is lost or nonsense. */
  lostAnswers = 0
  /** Part of the commands that never arrive. */
  refused = 0
  /** Longest one-way delay, in milliseconds. */
  latencyMs = 10
  #awake: Promise<void> = Promise.resolve()
  #wake: (() => void) | undefined

  /** Nothing gets through in either direction until `wakeUp`. */
  hang(): void {
    if (this.#wake) return
    this.#awake = new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  wakeUp(): void {
    this.#wake?.()
    this.#wake = undefined
  }

  get healthy(): boolean {
    return !this.#wake && this.latencyMs <= 10 && this.refused === 0 && this.lostAnswers === 0
  }

  /** Resolves at once, or when the hanging is over. */
  get awake(): Promise<void> {
    return this.#awake
  }
}

/** The manager process as the network knows it: when it dies all its connections break. */
export class Host {
  readonly #cut = new Set<() => void>()
  /** Sessions that were told to this process. */
  readonly told = new Set<string>()
  dead = false

  onDeath(action: () => void): () => void {
    this.#cut.add(action)
    return () => this.#cut.delete(action)
  }

  hear(sessions: readonly (Session | undefined)[]): void {
    for (const session of sessions) if (session) this.told.add(session.sessionId)
  }

  die(): void {
    this.dead = true
    this.told.clear()
    for (const action of [...this.#cut]) action()
    this.#cut.clear()
  }
}

interface Ends {
  readonly worker: SimWorker
  readonly line: Line
  readonly host: Host
  readonly clock: VirtualClock
  readonly random: Random
}

/** A WorkerPort over a network with delays and faults. */
export function simPort(ends: Ends): WorkerPort {
  return {
    identify: (command, signal) => call(ends, signal, { type: 'IDENTIFY_SHARD', ...command }),
    assign: (command, signal) => call(ends, signal, { type: 'ASSIGN_SHARDS', ...command }),
    release: (command, signal) => call(ends, signal, { type: 'RELEASE_SHARDS', ...command }),
    send: (command, signal) => call(ends, signal, { type: 'SEND_PAYLOAD', ...command }),
    watch: (onRecord, signal) => watch(ends, onRecord, signal),
  }
}

const unknown = (message: string): Answer<never> => ({ ok: false, failure: { code: 'UNKNOWN', message } })

function call<T>(
  { worker, line, host, clock, random }: Ends,
  signal: AbortSignal,
  command: Command,
): Promise<Answer<T>> {
  const hungUp = new AbortController()
  const sentAt = clock.now()
  // What was sent to one process never arrives at its successor.
  const { process } = worker
  const latency = () => random.int(1, line.latencyMs)
  return new Promise((resolve) => {
    const finish = (answer: Answer<T>) => {
      signal.removeEventListener('abort', giveUp)
      worker.onDeath.delete(died)
      forgetHost()
      if (answer.ok && 'sessions' in (answer.value as object))
        host.hear((answer.value as { sessions: Session[] }).sessions)
      resolve(answer)
    }
    const giveUp = () => {
      finish(unknown('the worker was given up'))
      clock.after(latency(), () => hungUp.abort())
    }
    const died = () => finish(unknown('the connection broke'))
    const forgetHost = host.onDeath(giveUp)
    if (signal.aborted || host.dead) return giveUp()
    signal.addEventListener('abort', giveUp, { once: true })
    worker.onDeath.add(died)
    clock.after(latency(), async () => {
      if (!worker.alive || random.chance(line.refused)) return finish(unknown('connection refused'))
      await line.awake
      if (hungUp.signal.aborted || !process || worker.process !== process)
        return finish(unknown('the connection broke'))
      const { type } = command
      const epoch = 'epoch' in command ? command.epoch : undefined
      worker.env.discord.trace(`${worker.env.uid}: ${type} ${epoch} ${JSON.stringify(brief(command))}`)
      if (type === 'IDENTIFY_SHARD') worker.env.discord.permitted(worker.env.cluster, command.shardId, sentAt)
      const reply = await process.worker.handle(command, hungUp.signal)
      await line.awake
      const answer: Answer<T> = reply.ok ? { ok: true, value: reply.body as T } : { ok: false, failure: reply.failure }
      clock.after(latency(), () => finish(random.chance(line.lostAnswers) ? unknown('nonsense') : answer))
    })
  })
}

function brief(command: Command): unknown {
  if (command.type === 'IDENTIFY_SHARD') return [command.shardId, command.slotInMs]
  if (command.type === 'RELEASE_SHARDS' || command.type === 'SEND_PAYLOAD') return command.shardIds
  return [command.first, command.last, command.withhold, command.sessions.map(({ shardId }) => shardId)]
}

function sessionsIn(record: StateRecord): (Session | undefined)[] {
  if (record.type === 'DRAINED') return record.sessions
  const shards = record.shards.map(({ session }) => session)
  return record.type === 'SNAPSHOT' ? [...shards, ...record.sessions] : shards
}

function watch(
  { worker, line, host, clock, random }: Ends,
  onRecord: Parameters<WorkerPort['watch']>[0],
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let close = () => {}
    let over = false
    let lastAt = 0
    const end = (error?: Error) => {
      if (over) return
      over = true
      close()
      forgetHost()
      signal.removeEventListener('abort', abort)
      if (error) reject(error)
      else resolve()
    }
    const abort = () => end(new Error('aborted'))
    const forgetHost = host.onDeath(abort)
    if (signal.aborted || host.dead) return abort()
    signal.addEventListener('abort', abort, { once: true })
    /** In order: nothing overtakes what was sent before. */
    const inOrder = (action: () => void) => {
      lastAt = Math.max(lastAt, clock.now() + random.int(1, line.latencyMs))
      clock.after(lastAt - clock.now(), async () => {
        await line.awake
        if (!over) action()
      })
    }
    inOrder(async () => {
      const { process } = worker
      await process?.ready
      if (!process || worker.process !== process || random.chance(line.refused))
        return end(new Error('connection refused'))
      const stream = new PassThrough()
      void process.readers.serve(stream)
      close = () => stream.destroy()
      stream.setEncoding('utf8')
      stream.on('data', (text: string) => {
        for (const each of text.split('\n').filter((part) => part !== '')) {
          const record = JSON.parse(each) as StateRecord
          inOrder(() => {
            host.hear(sessionsIn(record))
            onRecord(record)
          })
        }
      })
      stream.once('end', () => inOrder(() => end()))
      stream.once('close', () => inOrder(() => end(new Error('the stream broke'))))
    })
  })
}
