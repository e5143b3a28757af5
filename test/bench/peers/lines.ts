import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'

/** The batches that the sharder sends too: this long or this large, and so many requests at once. */
const FLUSH_MS = 20
const FLUSH_BYTES = 256 * 1024
const IN_FLIGHT = 4

/** Newline-delimited JSON in batches. Nothing is dropped: while all requests are under way, lines wait here. */
export class Lines {
  readonly #pool: Pool
  #lines: string[] = []
  #size = 0
  #inFlight = 0
  #due = false

  constructor(sinkUrl: string) {
    this.#pool = new Pool(sinkUrl, { connections: IN_FLIGHT, pipelining: 1 })
    setInterval(() => {
      if (this.#lines.length === 0) return
      this.#due = true
      this.#flush()
    }, FLUSH_MS)
  }

  add(line: string): void {
    this.#lines.push(line)
    this.#size += line.length + 1
    if (this.#size >= FLUSH_BYTES) this.#flush()
  }

  #flush(): void {
    if (this.#inFlight === IN_FLIGHT) return
    const body = this.#lines.join('\n')
    this.#lines = []
    this.#size = 0
    this.#due = false
    this.#inFlight++
    void this.#post(body)
  }

  async #post(body: string): Promise<void> {
    while (!(await this.#accepted(body))) await sleep(100)
    this.#inFlight--
    if (this.#size >= FLUSH_BYTES || (this.#due && this.#lines.length > 0)) this.#flush()
  }

  async #accepted(body: string): Promise<boolean> {
    try {
      const headers = { 'content-type': 'application/x-ndjson' }
      const answer = await this.#pool.request({ path: '/', method: 'POST', headers, body })
      await answer.body.dump()
      return answer.statusCode < 300
    } catch (error) {
      console.error('posting failed:', error)
      return false
    }
  }
}
