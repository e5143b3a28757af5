import { parentPort, workerData } from 'node:worker_threads'
import { createLogger } from '../src/support/logger.ts'
import { ThreadHost } from './thread-host.ts'
import type { FromThread, ThreadData, ToThread } from './thread-wire.ts'

/** Entry of a worker thread: takes calls from the main thread, answers them, and reports what changes. */
if (!parentPort) throw new Error('sharder/thread.ts is started by sharder/threads.ts')
const port = parentPort
const { settings, index } = workerData as ThreadData
const logger = createLogger('sharder', settings.logLevel).child({ worker: settings.workerId, thread: index })
const host = new ThreadHost(settings, logger, (report) => send({ report }))
const open = new Map<number, AbortController>()

port.on('message', (message: ToThread) => {
  if ('cancel' in message) open.get(message.cancel)?.abort()
  else void answer(message)
})

async function answer({ id, call }: Extract<ToThread, { id: number }>): Promise<void> {
  const withdrawn = new AbortController()
  open.set(id, withdrawn)
  try {
    send({ id, answer: await host.handle(call, withdrawn.signal) })
  } catch (error) {
    logger.error({ err: error, call: call.type }, 'a call failed')
    send({ id, error: error instanceof Error ? error.message : String(error) })
  } finally {
    open.delete(id)
  }
}

function send(message: FromThread): void {
  port.postMessage(message)
}
