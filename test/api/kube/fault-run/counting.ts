import type { ApiCall, ApiStream, Transport } from '../../../../operator/kube/call.ts'

/** Counts the watches that are open, by path, whoever else may have forgotten them. */
export class CountingTransport implements Transport {
  /** The most that ever were open at once, of any path. */
  most = 0
  readonly #inner: Transport
  readonly #open = new Map<string, number>()

  constructor(inner: Transport) {
    this.#inner = inner
  }

  request<T>(call: ApiCall): Promise<T> {
    return this.#inner.request<T>(call)
  }

  async stream(call: ApiCall): Promise<ApiStream> {
    const stream = await this.#inner.stream(call)
    const leave = this.#enter(call.path)
    const leaving = (end: () => void) => () => {
      leave()
      end()
    }
    return {
      body: stream.body,
      close: leaving(() => stream.close()),
      abandon: leaving(() => stream.abandon()),
    }
  }

  #enter(path: string): () => void {
    const now = (this.#open.get(path) ?? 0) + 1
    this.#open.set(path, now)
    this.most = Math.max(this.most, now)
    let left = false
    return () => {
      if (!left) this.#open.set(path, (this.#open.get(path) ?? 0) - 1)
      left = true
    }
  }
}
