/**
 * Lets so many sockets of a thread connect at once: 500 shards that resume together come up as fast as handshakes are
 * done, and neither this thread nor Discord's edge gets them all in one instant. Whose session ends first goes first.
 */
export class ConnectGate {
  /** By deadline, then in the order in which they came. */
  readonly #waiting: { readonly deadline: number; readonly turn: () => void }[] = []
  #free: number

  constructor(atOnce: number) {
    this.#free = atOnce
  }

  /**
   * Resolves with what gives the place back (calling it twice is harmless), or undefined when `signal` aborts first.
   * `deadline`: when it would be too late.
   */
  async enter(signal: AbortSignal, deadline: number): Promise<(() => void) | undefined> {
    if (signal.aborted) return undefined
    if (this.#free > 0) this.#free--
    else if (!(await this.#turn(signal, deadline))) return undefined
    let held = true
    const leave = () => {
      if (!held) return
      held = false
      const next = this.#waiting.shift()
      if (next) next.turn()
      else this.#free++
    }
    return leave
  }

  #turn(signal: AbortSignal, deadline: number): Promise<boolean> {
    return new Promise((resolve) => {
      const turn = () => {
        signal.removeEventListener('abort', gone)
        resolve(true)
      }
      const gone = () => {
        this.#waiting.splice(this.#waiting.indexOf(place), 1)
        resolve(false)
      }
      const place = { deadline, turn }
      const after = this.#waiting.findLastIndex((each) => each.deadline <= deadline)
      this.#waiting.splice(after + 1, 0, place)
      signal.addEventListener('abort', gone, { once: true })
    })
  }
}
