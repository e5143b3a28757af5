import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { startSampleBot } from '../local/sample-bot.ts'
import { createLogger } from '../support/logger.ts'
import { untilSignal } from '../support/signals.ts'

interface Flags {
  readonly host: string
  readonly port: string
  readonly authorizationFile?: string
  readonly logLevel: string
}

/** `shardcluster sample-bot`: the other end of an http sink, which checks what it is sent. */
export function sampleBotCommand(): Command {
  return new Command('sample-bot')
    .description('Run a sample bot: it receives events from an http sink and checks them (GET /stats, with its key)')
    .addOption(
      new Option('--host <address>', 'address to listen on; another one needs --authorization-file')
        .env('SAMPLE_BOT_HOST')
        .default('127.0.0.1'),
    )
    .addOption(new Option('--port <number>', 'port to listen on').env('SAMPLE_BOT_PORT').default('8090'))
    .addOption(
      new Option('--authorization-file <file>', 'file with the key it wants').env('SAMPLE_BOT_AUTHORIZATION_FILE'),
    )
    .addOption(new Option('--log-level <level>', 'trace to fatal, or silent').env('LOG_LEVEL').default('info'))
    .action(async ({ host, port, authorizationFile, logLevel }: Flags) => {
      const signal = untilSignal()
      const authorization = authorizationFile === undefined ? undefined : readFileSync(authorizationFile, 'utf8').trim()
      const bot = await startSampleBot({ host, port: Number(port), authorization })
      const logger = createLogger('sample-bot', logLevel)
      logger.info({ url: bot.url }, 'listening')
      const report = setInterval(() => {
        const { events, duplicates, lost, sessions, longestSilenceMs, eventsPerSecond } = bot.stats()
        logger.info({ events, duplicates, lost, sessions, longestSilenceMs, eventsPerSecond }, 'received')
      }, 10_000)
      signal.addEventListener('abort', () => {
        clearInterval(report)
        void bot.close()
      })
    })
}
