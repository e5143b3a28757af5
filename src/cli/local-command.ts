import { Command, InvalidArgumentError, Option } from 'commander'
import { type BotApi, startBotApi } from '../bot-api/bot-api.ts'
import { startDemo } from '../local/demo.ts'
import { removeLeftOvers } from '../local/left-overs.ts'
import { ManifestError } from '../local/manifest.ts'
import { runManifest } from '../local/run.ts'
import { RunDirectory } from '../local/run-directory.ts'
import { runFolders } from '../local/run-folders.ts'
import { sessionsFolder } from '../local/session-files.ts'
import { systemClock } from '../support/clock.ts'
import { createLogger } from '../support/logger.ts'
import { untilSignal } from '../support/signals.ts'
import { LocalDisplay } from './local-display.ts'

/** `shardcluster local [FILE]`: ShardClusters on this machine. */
export function localCommand(): Command {
  return new Command('local')
    .description(
      'Run the ShardClusters of a manifest on this machine, without Kubernetes; without a file, a demo with a simulated Discord',
    )
    .argument('[file]', 'the manifest that kubectl apply -f would take: ShardClusters and the Secrets they refer to')
    .addOption(
      new Option('--log-level <level>', 'trace to fatal, or silent').env('SHARDCLUSTER_LOG_LEVEL').default('warn'),
    )
    .addOption(
      new Option('--api-port <number>', 'port of the API for bots, on 127.0.0.1; 0: a free one')
        .env('SHARDCLUSTER_API_PORT')
        .argParser(portOf)
        .default(0),
    )
    .action(async (file: string | undefined, { logLevel, apiPort }: { logLevel: string; apiPort: number }) => {
      // A terminal that is gone takes no more lines: that must not keep shards from being closed as they should.
      for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
      tidyUp()
      const logger = createLogger('bot-api', logLevel)
      const botApi = await startBotApi({
        host: '127.0.0.1',
        port: apiPort,
        clock: systemClock,
        random: Math.random,
        logger,
      })
      try {
        await (file === undefined ? runDemo(logLevel, botApi) : runFile(file, logLevel, botApi))
      } finally {
        await botApi.close()
      }
    })
}

/** Tokens and keys of runs that were killed do not wait for a day on which somebody looks. */
function tidyUp(): void {
  for (const path of removeLeftOvers(runFolders(process.env)))
    process.stdout.write(`Removed ${path}: a run that was killed had left it behind.\n`)
}

function portOf(text: string): number {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new InvalidArgumentError('must be 0 to 65535.')
  return port
}

async function runFile(file: string, logLevel: string, botApi: BotApi): Promise<void> {
  const directory = new RunDirectory()
  const display = new LocalDisplay(process.stdout, undefined, [
    `All shards are connected. Save ${file} to change it; Ctrl-C ends it.`,
  ])
  display.say(`The API for bots is at ${botApi.url}: docs/bot-api.md.`)
  await run(file, { sessionsFolder: sessionsFolder(file, process.env), logLevel, directory, display, botApi })
}

async function runDemo(logLevel: string, botApi: BotApi): Promise<void> {
  const directory = new RunDirectory()
  const demo = await startDemo(directory, createLogger('demo', logLevel))
  const display = new LocalDisplay(process.stdout, demo.bot, [
    'What to try next:',
    `  edit ${demo.manifest}: set totalWorkers to 4 and save it; shards move to the new workers`,
    `  curl -H 'authorization: Bearer ${demo.apiKey}' ${botApi.url}/v1/shardclusters/default/bot`,
    '                           the API for bots (docs/bot-api.md): how the shards are, and how to send on them',
    '  npm start -- FILE        your own manifest, the same that kubectl apply -f FILE takes',
    '  npm run kind             the same on a real Kubernetes on this machine',
    '  Ctrl-C                   ends it',
  ])
  display.say('A simulated Discord, a REST proxy and a sample bot run on this machine; their ShardCluster starts.')
  try {
    // Its Discord ends with it, and every session with that.
    await run(demo.manifest, { sessionsFolder: undefined, logLevel, directory, display, botApi })
  } finally {
    await demo.close()
  }
}

interface LocalRun {
  readonly sessionsFolder: string | undefined
  readonly logLevel: string
  readonly directory: RunDirectory
  readonly display: LocalDisplay
  readonly botApi: BotApi
}

async function run(file: string, { logLevel, ...local }: LocalRun): Promise<void> {
  const { directory, display } = local
  const ended = untilSignal()
  try {
    const logger = createLogger('local', logLevel)
    await runManifest({ ...local, file, clock: systemClock, logger, signal: ended })
    display.say('All workers have ended.')
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 1
  } finally {
    display.stop()
    directory.remove()
  }
}
