import type { Answer, WorkerPort } from '../../../../src/manager/ports.ts'
import type { VirtualClock } from '../../../support/virtual-clock.ts'
import type { Random } from './random.ts'
import { Permit, type SimWorker } from './worker.ts'

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
  dead = false

  onDeath(action: () => void): () => void {
    this.#cut.add(action)
    return () => this.#cut.delete(action)
  }

  die(): void {
    this.dead = true
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
    identify: ({ shardId, epoch, slotInMs }, signal) =>
      call(ends, signal, (permit) => ends.worker.identify({ shardId, epoch, slotInMs }, permit)),
    assign: (command, signal) => call(ends, signal, () => Promise.resolve(ends.worker.assign(command))),
    release: (command, signal) => call(ends, signal, () => ends.worker.release(command)),
    watch: (onRecord, signal) => watch(ends, onRecord, signal),
  }
}

const unknown = (message: string): Answer<never> => ({ ok: false, failure: { code: 'UNKNOWN', message } })

function call<T>(
  { worker, line, host, clock, random }: Ends,
  signal: AbortSignal,
  deliver: (permit: Permit) => Promise<Answer<T>>,
): Promise<Answer<T>> {
  const permit = new Permit(clock.now())
  const latency = () => random.int(1, line.latencyMs)
  return new Promise((resolve) => {
    const finish = (answer: Answer<T>) => {
      signal.removeEventListener('abort', giveUp)
      worker.onDeath.delete(died)
      forgetHost()
      resolve(answer)
    }
    const giveUp = () => {
      finish(unknown('the worker was given up'))
      clock.after(latency(), () => permit.revoke())
    }
    const died = () => finish(unknown('the connection broke'))
    const forgetHost = host.onDeath(giveUp)
    if (signal.aborted || host.dead) return giveUp()
    signal.addEventListener('abort', giveUp, { once: true })
    worker.onDeath.add(died)
    clock.after(latency(), async () => {
      if (!worker.alive || random.chance(line.refused)) return finish(unknown('connection refused'))
      const { bootId } = worker
      await line.awake
      if (permit.revoked || worker.bootId !== bootId || !worker.alive) return finish(unknown('the connection broke'))
      const answer = await deliver(permit)
      await line.awake
      clock.after(latency(), () => finish(random.chance(line.lostAnswers) ? unknown('nonsense') : answer))
    })
  })
}

function watch(
  { worker, line, host, clock, random }: Ends,
  onRecord: Parameters<WorkerPort['watch']>[0],
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let unsubscribe = () => {}
    let over = false
    let lastAt = 0
    const end = (error?: Error) => {
      if (over) return
      over = true
      unsubscribe()
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
    inOrder(() => {
      if (!worker.alive || random.chance(line.refused)) return end(new Error('connection refused'))
      unsubscribe = worker.subscribe((record) => {
        if (record === 'BROKEN') inOrder(() => end(new Error('the stream broke')))
        else if (record === 'END') inOrder(() => end())
        else inOrder(() => onRecord(record))
      })
    })
  })
}
