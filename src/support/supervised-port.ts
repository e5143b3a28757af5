import type { MessagePort } from 'node:worker_threads'
import type { FromThread, ToThread } from './supervised-thread.ts'
import { Questions } from './thread-questions.ts'

/** A supervised thread's way to the main thread. */
export interface SupervisedPort {
  /** See `Questions`. */
  ask(question: unknown, signal?: AbortSignal): Promise<unknown>
}

/**
 * The body of a supervised thread: starts what it serves, says that it is up, and answers pings. What cannot start ends
 * the thread. `questions`: how many may be under way at once.
 */
export async function superviseThis(
  port: MessagePort,
  questions: number,
  start: (port: SupervisedPort) => Promise<{ readonly ready: unknown; readonly hear?: (message: unknown) => void }>,
): Promise<void> {
  const post = (message: FromThread) => port.postMessage(message)
  const asker = new Questions(post, questions)
  let hear: (message: unknown) => void = () => {}
  port.on('message', (message: ToThread) => {
    if ('ping' in message) post({ pong: true })
    else if ('tell' in message) hear(message.tell)
    else asker.hear(message)
  })
  try {
    const started = await start({ ask: (question, signal) => asker.ask(question, signal) })
    if (started.hear) hear = started.hear
    post({ ready: started.ready })
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    post({ unable: { message, code } })
    port.close()
  }
}
