import { Command, Option } from 'commander'
import { startDemo } from '../local/demo.ts'
import { ManifestError } from '../local/manifest.ts'
import { runManifest } from '../local/run.ts'
import { RunDirectory } from '../local/run-directory.ts'
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
    .action((file: string | undefined, { logLevel }: { logLevel: string }) =>
      file === undefined ? runDemo(logLevel) : runFile(file, logLevel),
    )
}

async function runFile(file: string, logLevel: string): Promise<void> {
  const directory = new RunDirectory()
  const display = new LocalDisplay(process.stdout, undefined, [
    `All shards are connected. Save ${file} to change it; Ctrl-C ends it.`,
  ])
  await run(file, sessionsFolder(file, process.env), logLevel, directory, display)
}

async function runDemo(logLevel: string): Promise<void> {
  const directory = new RunDirectory()
  const demo = await startDemo(directory, createLogger('demo', logLevel))
  const display = new LocalDisplay(process.stdout, demo.bot, [
    'What to try next:',
    `  edit ${demo.manifest}: set totalWorkers to 4 and save it; shards move to the new workers`,
    '  npm start -- FILE        your own manifest, the same that kubectl apply -f FILE takes',
    '  npm run kind             the same on a real Kubernetes on this machine',
    '  Ctrl-C                   ends it',
  ])
  display.say('A simulated Discord, a REST proxy and a sample bot run on this machine; their ShardCluster starts.')
  try {
    // Its Discord ends with it, and every session with that.
    await run(demo.manifest, undefined, logLevel, directory, display)
  } finally {
    await demo.close()
  }
}

async function run(
  file: string,
  sessionsFolder: string | undefined,
  level: string,
  directory: RunDirectory,
  display: LocalDisplay,
): Promise<void> {
  const ended = untilSignal()
  try {
    const logger = createLogger('local', level)
    await runManifest({ file, clock: systemClock, logger, directory, sessionsFolder, display, signal: ended })
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
