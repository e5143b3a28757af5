interface Range {
  readonly first: number
  readonly last: number
}

/** Ranges remembered; beyond, the oldest counts as missing for good. */
const KEPT = 64

/** The sequences of one session that were jumped over: as ranges, because what is lost is lost in a row. */
export class Missing {
  #ranges: Range[] = []
  #forgotten = 0

  /** How many have not come. */
  get count(): number {
    return this.#ranges.reduce((sum, { first, last }) => sum + last - first + 1, this.#forgotten)
  }

  add(first: number, last: number): void {
    this.#ranges.push({ first, last })
    this.#bound()
  }

  /** `sequence` came after all; false when it was not missing. */
  take(sequence: number): boolean {
    const at = this.#ranges.findIndex(({ first, last }) => first <= sequence && sequence <= last)
    const range = this.#ranges[at]
    if (range === undefined) return false
    const rest = [
      { first: range.first, last: sequence - 1 },
      { first: sequence + 1, last: range.last },
    ].filter(({ first, last }) => first <= last)
    this.#ranges.splice(at, 1, ...rest)
    this.#bound()
    return true
  }

  #bound(): void {
    if (this.#ranges.length <= KEPT) return
    const oldest = this.#ranges.shift()
    if (oldest !== undefined) this.#forgotten += oldest.last - oldest.first + 1
  }
}
