/** Lets a loop wait until something about its shard is another. */
export class StateChange {
  #waiting: (() => void)[] = []

  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  announce(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
