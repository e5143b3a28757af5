/** Tells how far a part has come: `done` of `total` steps, and how long the rest will take if it goes on like this. */
export class Progress {
  readonly #say: (line: string) => void
  readonly #name: string
  readonly #total: number
  readonly #startedAt = performance.now()
  #done = 0

  constructor(say: (line: string) => void, name: string, total: number) {
    this.#say = say
    this.#name = name
    this.#total = total
  }

  /** One more step is done; `found`: what it found, in a few words. */
  step(found: string): void {
    this.#done++
    const seconds = ((performance.now() - this.#startedAt) / 1_000 / this.#done) * (this.#total - this.#done)
    this.#say(`${this.#name} ${this.#done}/${this.#total}, ${Math.ceil(seconds)} s left: ${found}`)
  }
}
