import { TOO_MUCH_HELD, threadMemory } from '../memory-budget.ts'
import { CloseCode, FrameError } from './protocol.ts'

/** Enough for the rest of a chunk in most cases. */
const SPARE_BYTES = 16 * 1024
/** Buffers that are kept for the next connection that was cut off in the middle of a frame: 512 KB a thread at most. */
const MOST_SPARE = 32
const spare: Buffer[] = []

/** Bytes that must outlive the read they came with. Its memory is taken when it is needed and given back by clear(). */
export class HeldBytes {
  #bytes: Buffer | undefined
  #length = 0

  /** What is held begins at index 0; beyond `length` there is no meaning. */
  get bytes(): Buffer {
    return this.#bytes ?? NOTHING
  }

  get length(): number {
    return this.#length
  }

  /**
   * Takes [from, to) too. Memory grows with what has come, never with what a peer announces.
   * @throws FrameError when the thread holds too much; nothing is taken then.
   */
  append(bytes: Buffer, from: number, to: number): void {
    const length = this.#length + to - from
    if (this.#bytes === undefined || length > this.#bytes.length) this.#grow(length)
    bytes.copy(this.#bytes as Buffer, this.#length, from, to)
    this.#length = length
  }

  clear(): void {
    const { length } = this.bytes
    if (length > SPARE_BYTES) threadMemory.change(length, 0)
    else if (this.#bytes && spare.length < MOST_SPARE) spare.push(this.#bytes)
    this.#bytes = undefined
    this.#length = 0
  }

  #grow(length: number): void {
    const old = this.#bytes
    const larger = length <= SPARE_BYTES ? (spare.pop() ?? Buffer.allocUnsafeSlow(SPARE_BYTES)) : this.#larger(length)
    old?.copy(larger, 0, 0, this.#length)
    if (old?.length === SPARE_BYTES && spare.length < MOST_SPARE) spare.push(old)
    this.#bytes = larger
  }

  #larger(length: number): Buffer {
    const size = Math.max(length, 2 * this.#length)
    if (!threadMemory.change(this.bytes.length, size)) throw new FrameError(CloseCode.TooBig, TOO_MUCH_HELD)
    return Buffer.allocUnsafeSlow(size)
  }
}

const NOTHING = Buffer.alloc(0)
