import { type Dispatcher, MockAgent } from 'undici'

/** HTTP answers to give instead of the API server's, one per call, in order; afterwards calls go through. */
export class Answers {
  readonly #queue: Dispatcher[] = []
  #given = 0

  /** Answers given so far. */
  get given(): number {
    return this.#given
  }

  push(status: number, body: unknown, headers: Record<string, string> = {}): void {
    const agent = new MockAgent()
    // Without this a call that matches nothing would go out over a connection of the mock's own.
    agent.disableNetConnect()
    const anyServer = agent.get(/.*/)
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
      anyServer.intercept({ path: () => true, method }).reply(status, text, { headers })
    }
    this.#queue.push(agent)
  }

  /** For the transport's `intercept`. */
  readonly intercept = (real: Dispatcher): Dispatcher => {
    const answer = this.#queue.shift()
    if (!answer) return real
    this.#given += 1
    return answer
  }
}

/** A metav1.Status. */
export function status(code: number, reason: string, message = 'injected'): unknown {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message }
}
