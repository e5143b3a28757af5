import type { Http2ServerResponse } from 'node:http2'
import type { Seen } from './api-proxy.ts'

/** A watch that the proxy passes on, and what can be done to it. */
export class OpenWatch {
  readonly seen: Seen
  readonly #response: Http2ServerResponse
  #silent = false
  #truncating = false

  constructor(seen: Seen, response: Http2ServerResponse) {
    this.seen = seen
    this.#response = response
  }

  /** Whether nothing is passed on any more. */
  get silent(): boolean {
    return this.#silent
  }

  pass(chunk: Uint8Array): void {
    if (this.#silent) return
    if (!this.#truncating) {
      this.#response.write(chunk)
      return
    }
    this.#response.end(chunk.subarray(0, Math.floor(chunk.length / 2)))
    this.#silent = true
  }

  /** The API server ended it. */
  end(): void {
    if (!this.#silent) this.#response.end()
  }

  /** Stays open, and says nothing any more. */
  silence(): void {
    this.#silent = true
  }

  /** Of what comes next only the first half arrives, in the middle of a line; then it ends in good order. */
  truncateNext(): void {
    this.#truncating = true
  }

  /** Says `line`, and ends. */
  say(line: string): void {
    if (this.#silent) return
    this.#silent = true
    this.#response.end(`${line}\n`)
  }

  /** Cut off without an end. */
  kill(): void {
    this.#silent = true
    if ('close' in this.#response.stream) this.#response.stream.close(8)
    this.#response.destroy()
  }
}
