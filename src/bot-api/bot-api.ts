import type { Clock } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import { SupervisedThread } from '../support/supervised-thread.ts'
import { Desk } from './desk.ts'
import type { ApiSource } from './source.ts'
import type { ApiThreadData, Question, Told } from './wire.ts'

export interface BotApiOptions {
  readonly host: string
  /** 0: a free one. */
  readonly port: number
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  /** The thread ended by itself and is started again. */
  readonly onEnded?: () => void
}

/** The HTTP API for bots. Until it is given ShardClusters it answers 503: a standby. */
export interface BotApi {
  /** `http://host:port` */
  readonly url: string
  /** Answers for these ShardClusters. @returns what ends that. */
  serve(source: ApiSource): () => void
  close(): Promise<void>
}

/**
 * What the thread may have of JavaScript's memory, in MB: it needs some 20 of them. Its young generation is kept small,
 * as in the threads of a worker.
 */
const LIMITS = { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 6 }

/**
 * Opens the port, in a thread of its own: whoever can reach it costs this event loop nothing but answers to questions
 * of those who have shown a key. Rejects when the port cannot be had.
 */
export async function startBotApi(options: BotApiOptions): Promise<BotApi> {
  const { host, port, clock, random, logger, onEnded = () => {} } = options
  const desk = new Desk({ clock, logger })
  const tell = () => thread.tell({ leading: desk.leading } satisfies Told)
  const thread = new SupervisedThread({
    ...{ name: 'bot-api', script: new URL('./thread.ts', import.meta.url), limits: LIMITS },
    ...{ clock, random, logger, onEnded },
    // Started again, it takes the port that it had.
    data: (url): ApiThreadData => ({
      host,
      port: typeof url === 'string' ? Number(new URL(url).port) : port,
      logLevel: logger.level,
    }),
    answer: (question, signal) => desk.answer(question as Question, signal),
    onRestarted: tell,
  })
  const url = String(await thread.start())
  return {
    url,
    serve(source) {
      const standDown = desk.serve(source)
      tell()
      return () => {
        standDown()
        tell()
      }
    },
    close: () => thread.close(),
  }
}
