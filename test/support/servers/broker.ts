import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TEST_CERTIFICATE, TEST_KEY } from '../../unit/simulator/tls.ts'
import { type Daemon, startDaemon } from '../apiserver/daemon.ts'
import { type ServerPrograms, serverPrograms } from './programs.ts'

/** Who the brokers of the tests know. */
export const USER = { username: 'sharder', password: 'a password for tests' } as const

/** An event as a broker gave it to a consumer. */
export interface Delivered {
  /** Subject, key of the stream or routing key. */
  readonly topic: string
  readonly body: string
}

const START_TIMEOUT_MS = 120_000

/** A real server as a process, on free ports of loopback, with a directory of its own that survives its restarts. */
export abstract class Broker {
  readonly directory = mkdtempSync(join(tmpdir(), 'broker-'))
  readonly port: number
  /** Whether it wants encryption, with the certificate in `caFile`. */
  readonly tls: boolean
  #daemon: Daemon | undefined

  constructor(port: number, tls: boolean) {
    this.port = port
    this.tls = tls
    this.file('tls.crt', TEST_CERTIFICATE)
    this.file('tls.key', TEST_KEY)
  }

  /** Certificates that its own is signed with. */
  get caFile(): string {
    return join(this.directory, 'tls.crt')
  }

  get pid(): number | undefined {
    return this.#daemon?.pid
  }

  /** Starts it, again if need be, and resolves when it answers. */
  async start(): Promise<void> {
    const programs = await serverPrograms()
    const { command, args, environment = {} } = await this.command(programs)
    const log = join(this.directory, 'log')
    this.#daemon = startDaemon(command, args, log, this.directory, { ...programs.environment, ...environment })
    const deadline = performance.now() + START_TIMEOUT_MS
    while (!(await this.ready().catch(() => false))) {
      if (!this.#daemon.running() || performance.now() > deadline)
        throw new Error(`${command} does not come up:\n${this.#daemon.log()}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  /** As a crash does. */
  async kill(): Promise<void> {
    this.#daemon?.kill('SIGKILL')
    await this.#daemon?.exited
  }

  /** It hangs, with its connections open, until `resume`. */
  pause(): void {
    this.#daemon?.kill('SIGSTOP')
  }

  resume(): void {
    this.#daemon?.kill('SIGCONT')
  }

  /** Ends it and removes its directory. */
  async close(): Promise<void> {
    this.resume()
    await this.kill()
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** Writes a file of its directory. @returns its path. */
  file(name: string, text: string): string {
    const path = join(this.directory, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }

  /** Everything that was delivered, in the order of the server. */
  abstract read(): Promise<Delivered[]>
  protected abstract command(programs: ServerPrograms): Promise<{
    readonly command: string
    readonly args: readonly string[]
    readonly environment?: Readonly<Record<string, string>>
  }>

  /** Whether it answers; overridden where an open port is not enough. */
  protected ready(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.port, '127.0.0.1', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
    })
  }
}
