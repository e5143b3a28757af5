import { readFile } from 'node:fs/promises'
import type { Clock } from '../../src/support/clock.ts'

/** What was read is used for this long, in milliseconds: a rotated Secret is seen without a watch on the file. */
const FRESH_MS = 5_000

/** A secret in a file that may change while the process runs (Kubernetes swaps mounted Secrets by symbolic link). */
export class SecretFile {
  readonly #path: string
  readonly #clock: Clock
  #text: string | undefined
  #readAt = Number.NEGATIVE_INFINITY

  constructor(path: string, clock: Clock) {
    this.#path = path
    this.#clock = clock
  }

  /** The text without surrounding white space. @throws Error that names the file, never what is in it. */
  async text(): Promise<string> {
    if (this.#text !== undefined && this.#clock.now() - this.#readAt < FRESH_MS) return this.#text
    try {
      this.#text = (await readFile(this.#path, 'utf8')).trim()
    } catch (cause) {
      throw new Error(`cannot read ${this.#path}; mount the Secret that holds it there`, { cause })
    }
    if (this.#text === '') throw new Error(`${this.#path} is empty; put the key into the Secret it is mounted from`)
    this.#readAt = this.#clock.now()
    return this.#text
  }

  /** It was refused: read it again next time. */
  refused(): void {
    this.#text = undefined
  }
}
