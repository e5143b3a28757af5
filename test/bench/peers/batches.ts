import { setTimeout as sleep } from 'node:timers/promises'

/** The batches that the sharder sends too: this long or this large. */
const FLUSH_MS = 3
const FLUSH_BYTES = 256 * 1024

/** Gathers items into batches. Nothing is dropped: while as many as may be are under way, batches wait here. */
export class Batches<T> {
  readonly #send: (items: T[]) => Promise<void>
  readonly #inFlightMost: number
  readonly #full: T[][] = []
  #items: T[] = []
  #size = 0
  #inFlight = 0
  #due = false

  /** `send`: rejects when the batch is to be sent again. */
  constructor(send: (items: T[]) => Promise<void>, inFlightMost: number) {
    this.#send = send
    this.#inFlightMost = inFlightMost
    setInterval(() => {
      this.#due = this.#items.length > 0
      this.#flush()
    }, FLUSH_MS)
  }

  add(item: T, size: number): void {
    this.#items.push(item)
    this.#size += size
    if (this.#size < FLUSH_BYTES) return
    this.#full.push(this.#items)
    this.#begin()
    this.#flush()
  }

  #begin(): void {
    this.#items = []
    this.#size = 0
    this.#due = false
  }

  #flush(): void {
    while (this.#inFlight < this.#inFlightMost) {
      const items = this.#full.shift() ?? (this.#due ? this.#items : undefined)
      if (items === undefined) return
      if (items === this.#items) this.#begin()
      this.#inFlight++
      void this.#deliver(items)
    }
  }

  async #deliver(items: T[]): Promise<void> {
    while (!(await this.#accepted(items))) await sleep(100)
    this.#inFlight--
    this.#flush()
  }

  async #accepted(items: T[]): Promise<boolean> {
    try {
      await this.#send(items)
      return true
    } catch (error) {
      console.error('a batch was not taken:', error)
      return false
    }
  }
}
