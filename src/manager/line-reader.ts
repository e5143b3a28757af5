import { sizeText, WorkerBoundError } from './worker-bounds.ts'

const NEWLINE = 0x0a
const EMPTY = Buffer.alloc(0)
/** The room that the beginning of a line gets first, in bytes. */
const FIRST_ROOM = 64 * 1_024

/**
 * Cuts what a worker streams into lines, none longer than it may be. A byte is looked at once and copied at most a few
 * times, in however small pieces it comes; a line that came whole is not copied at all.
 */
export class LineReader {
  #rest: Buffer = EMPTY
  #size = 0

  /** Whether the last line has not ended. */
  get unfinished(): boolean {
    return this.#size > 0
  }

  /**
   * The lines that end in `part`, without empty ones. `longest`: bytes of a line.
   * @throws WorkerBoundError for a longer one, before it is kept.
   */
  *linesOf(part: Buffer, longest: number): Generator<string> {
    let start = 0
    for (let end = part.indexOf(NEWLINE); end >= 0; end = part.indexOf(NEWLINE, start)) {
      this.#check(end - start, longest)
      const line = this.#size === 0 ? part.toString('utf8', start, end) : this.#ended(part.subarray(start, end))
      start = end + 1
      if (line.trim() !== '') yield line
    }
    if (start === part.length) return
    this.#check(part.length - start, longest)
    this.#keep(part.subarray(start))
  }

  #check(more: number, longest: number): void {
    if (this.#size + more > longest)
      throw new WorkerBoundError('Line', `the worker streamed a record of more than ${sizeText(longest)}`)
  }

  #ended(end: Buffer): string {
    this.#keep(end)
    const line = this.#rest.toString('utf8', 0, this.#size)
    this.#rest = EMPTY
    this.#size = 0
    return line
  }

  /** The room doubles: a line in pieces of a byte is copied twice, not once a piece. */
  #keep(piece: Buffer): void {
    const size = this.#size + piece.length
    if (size > this.#rest.length) {
      const room = Buffer.allocUnsafe(Math.max(FIRST_ROOM, 2 ** Math.ceil(Math.log2(size))))
      this.#rest.copy(room, 0, 0, this.#size)
      this.#rest = room
    }
    piece.copy(this.#rest, this.#size)
    this.#size = size
  }
}
