import { parentPort, workerData } from 'node:worker_threads'
import { FROM_THREADS } from '../limits.ts'
import { systemClock } from '../support/clock.ts'
import { createLogger } from '../support/logger.ts'
import { superviseThis } from '../support/supervised-port.ts'
import { TooManyQuestions } from '../support/thread-questions.ts'
import { startApiServer } from './server.ts'
import type { ApiThreadData, Ask, Told } from './wire.ts'

/** Entry of the thread that serves the API for bots. */
if (parentPort)
  await superviseThis(parentPort, FROM_THREADS.questions, async (main) => {
    const { host, port, logLevel } = workerData as ApiThreadData
    const ask: Ask = async (type, cluster, more, signal) => {
      try {
        return (await main.ask({ type, cluster, ...more }, signal)) as never
      } catch (error) {
        if (error instanceof TooManyQuestions) return { refused: 'BUSY' }
        throw error
      }
    }
    const logger = createLogger('bot-api', logLevel)
    const server = await startApiServer({ host, port, clock: systemClock, logger, ask })
    return { ready: server.url, hear: (told) => server.leading((told as Told).leading) }
  })
