/**
 * Lets so many sockets of a thread connect at once: 500 shards that resume together come up as fast as handshakes are
 * done, and neither this thread nor Discord's edge gets them all in one instant.
 */
export class ConnectGate {
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor(atOnce: number) {
    this.#free = atOnce
  }

  /** Resolves with what gives the place back (calling it twice is harmless), or undefined when `signal` aborts first. */
  async enter(signal: AbortSignal): Promise<(() => void) | undefined> {
    if (signal.aborted) return undefined
    if (this.#free > 0) this.#free--
    else if (!(await this.#turn(signal))) return undefined
    let held = true
    const leave = () => {
      if (!held) return
      held = false
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
    return leave
  }

  #turn(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const turn = () => {
        signal.removeEventListener('abort', gone)
        resolve(true)
      }
      const gone = () => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1)
        resolve(false)
      }
      this.#waiting.push(turn)
      signal.addEventListener('abort', gone, { once: true })
    })
  }
}
