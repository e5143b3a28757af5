import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { processClock } from '../../sharder/process-clock.ts'
import type { SinkOptions } from '../../sharder/sinks/buffered-sink.ts'
import { openSink } from '../../sharder/sinks/open-sink.ts'
import type { Sink } from '../../sharder/sinks/sink.ts'
import type { SinkSettings } from '../../src/protocol/sink-settings.ts'
import { createLogger } from '../../src/support/logger.ts'
import { USER } from '../support/servers/broker.ts'

/** Memory of the sinks of the tests, in bytes. */
export const MOST_BYTES = 4 * 1024 * 1024

/** A sink with its credentials in files that a test may change. */
export class SinkUnderTest {
  readonly #directory = mkdtempSync(join(tmpdir(), 'sink-'))
  readonly usernameFile = this.#file('username', USER.username)
  readonly passwordFile = this.#file('password', USER.password)
  #sink: Sink | undefined
  /** How often it was full. */
  fullTimes = 0

  get sink(): Sink {
    if (this.#sink === undefined) throw new Error('open the sink first')
    return this.#sink
  }

  open(settings: Omit<SinkSettings, 'name'>, options: Partial<SinkOptions> = {}): Sink {
    this.#sink = openSink(
      { name: 'bot', ...settings },
      {
        workerId: 0,
        clock: processClock,
        random: Math.random,
        logger: createLogger('test', 'silent'),
        onChange: () => {
          if (this.sink.full) this.fullTimes++
        },
        counts: { request: () => {}, delivered: () => {} },
        mostBytes: MOST_BYTES,
        retry: { baseMs: 50, capMs: 500 },
        timeoutMs: 2_000,
        ...options,
      },
    )
    return this.#sink
  }

  setPassword(password: string): void {
    writeFileSync(this.passwordFile, password)
  }

  async close(): Promise<void> {
    await this.#sink?.close()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  #file(name: string, text: string): string {
    const path = join(this.#directory, name)
    writeFileSync(path, text)
    return path
  }
}
