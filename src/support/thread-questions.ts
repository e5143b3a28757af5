/** What a thread sends to the main thread to ask it something, or to take a question back. */
export type FromAsker = { readonly id: number; readonly question: unknown } | { readonly cancel: number }

/** What it gets back. `failed`: the answer could not be made; what went wrong is in the log of the main thread. */
export type ToAsker = { readonly id: number; readonly answer: unknown } | { readonly id: number; readonly failed: true }

/** More is asked at once than the main thread shall be. */
export class TooManyQuestions extends Error {
  override readonly name = 'TooManyQuestions'
}

interface Waiting {
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: Error) => void
}

/** The side that asks: in a thread, of the main thread. */
export class Questions {
  readonly #post: (message: FromAsker) => void
  readonly #atOnce: number
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 0

  /** `atOnce`: questions under way at most. */
  constructor(post: (message: FromAsker) => void, atOnce: number) {
    this.#post = post
    this.#atOnce = atOnce
  }

  /** Aborting tells the main thread; the answer still comes. Rejects with TooManyQuestions, or when it failed. */
  ask(question: unknown, signal?: AbortSignal): Promise<unknown> {
    if (this.#waiting.size >= this.#atOnce) return Promise.reject(new TooManyQuestions('too many questions at once'))
    const id = this.#nextId++
    const cancel = () => this.#post({ cancel: id })
    return new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#post({ id, question })
      if (signal?.aborted) cancel()
      else signal?.addEventListener('abort', cancel, { once: true })
    }).finally(() => signal?.removeEventListener('abort', cancel))
  }

  hear(message: ToAsker): void {
    const waiting = this.#waiting.get(message.id)
    this.#waiting.delete(message.id)
    if ('failed' in message) waiting?.reject(new Error('the main thread could not answer'))
    else waiting?.resolve(message.answer)
  }
}

/** The side that answers: in the main thread. */
export class Answers {
  readonly #answer: (question: unknown, signal: AbortSignal) => Promise<unknown>
  readonly #onError: (error: unknown) => void
  readonly #underWay = new Map<number, AbortController>()

  constructor(answer: (question: unknown, signal: AbortSignal) => Promise<unknown>, onError: (error: unknown) => void) {
    this.#answer = answer
    this.#onError = onError
  }

  /** Questions under way. */
  get size(): number {
    return this.#underWay.size
  }

  hear(message: FromAsker, post: (message: ToAsker) => void): void {
    if ('cancel' in message) this.#underWay.get(message.cancel)?.abort()
    else void this.#answerTo(message.id, message.question, post)
  }

  /** Whoever asked is gone: takes everything back. */
  abandon(): void {
    for (const underWay of this.#underWay.values()) underWay.abort()
    this.#underWay.clear()
  }

  async #answerTo(id: number, question: unknown, post: (message: ToAsker) => void): Promise<void> {
    const withdrawn = new AbortController()
    this.#underWay.set(id, withdrawn)
    let message: ToAsker
    try {
      message = { id, answer: await this.#answer(question, withdrawn.signal) }
    } catch (error) {
      this.#onError(error)
      message = { id, failed: true }
    }
    // The one who asks now, after a restart, has numbers of its own.
    if (this.#underWay.get(id) !== withdrawn) return
    this.#underWay.delete(id)
    post(message)
  }
}
