import { randomUUID } from 'node:crypto'
import { DISCORD_GATEWAY_HOSTS } from '../src/api/gateway-hosts.ts'
import { parseWorkerEnvironment, type WorkerSettings } from '../src/protocol/worker-settings.ts'
import { createLogger, type Logger } from '../src/support/logger.ts'
import { drain, patienceOf } from './drain.ts'
import { MainMetrics } from './main-metrics.ts'
import { processClock } from './process-clock.ts'
import { createServer } from './server.ts'
import { ServingCertificate } from './serving-certificate.ts'
import { SessionShelf } from './session-shelf.ts'
import { SecretFile } from './sinks/secret-file.ts'
import { StateBoard } from './state-board.ts'
import { readState, writeState } from './state-file.ts'
import { StateKeeper } from './state-keeper.ts'
import { StateReaders } from './state-readers.ts'
import { startThreads, type ThreadPool } from './threads.ts'
import { GatewayWorker } from './worker.ts'

/** A worker that listens. */
export interface RunningSharder {
  readonly port: number
  /**
   * Closes the shards so that their sessions live on, lets the sinks confirm, and stops. Calling it again waits for the
   * same. `orphaned`: no manager will come any more, so none is waited for.
   */
  drain(orphaned?: boolean): Promise<void>
}

/** How long a thread may take to answer a liveness probe, in milliseconds. */
const THREAD_ANSWER_MS = 5_000

/** Starts a worker. @throws Error that says which setting or file is wrong, or that the port is taken. */
export async function startSharder(settings: WorkerSettings, logger: Logger): Promise<RunningSharder> {
  const clock = processClock
  const { workerId, stateDirectory } = settings
  const key = new SecretFile(settings.authorizationFile, clock)
  const certificate = settings.tls && new ServingCertificate(settings.tls, clock)
  await Promise.all([key.text(), new SecretFile(settings.tokenFile, clock).text(), certificate?.read()])
  const found = stateDirectory === undefined ? undefined : await readState(stateDirectory, clock.date())
  const head = { workerId, bootId: randomUUID(), epoch: 0, draining: false }
  const board = new StateBoard(clock, head, new SessionShelf(clock, found?.sessions))
  const threads: ThreadPool = startThreads({
    settings,
    clock,
    random: Math.random,
    logger,
    onReport: (index, report) => board.report(index, report),
    onDied: (index) => worker.threadDied(index),
    onReplaced: (index) => worker.threadReplaced(index),
  })
  const keeper = new StateKeeper({
    ...{ clock, logger, board, epoch: () => worker.epoch },
    write: stateDirectory === undefined ? undefined : (state) => writeState(stateDirectory, state, clock.date()),
  })
  const save = () => keeper.save()
  const worker: GatewayWorker = new GatewayWorker({
    workerId,
    clock,
    logger,
    board,
    threads,
    gatewayHosts: settings.gatewayHosts ?? DISCORD_GATEWAY_HOSTS,
    epoch: found?.epoch ?? 0,
    save,
  })
  const readers = new StateReaders(board, clock)
  const metrics = new MainMetrics(board, worker, readers)
  const server = createServer({
    clock,
    logger,
    key: () => key.text(),
    handle: (command, signal) => worker.handle(command, signal),
    snapshot: () => JSON.stringify(board.snapshot()),
    watch: (reader) => readers.serve(reader),
    healthy: () => worker.healthy(THREAD_ANSWER_MS),
    metrics: () => metrics.text(),
    ...(certificate && { tls: { certificate, clock } }),
  })
  try {
    if (found) await worker.takeUp(found)
    await server.listen({ host: settings.host, port: settings.port })
  } catch (error) {
    keeper.close()
    await threads.close()
    throw error
  }
  let drained: Promise<void> | undefined
  return {
    port: server.port,
    drain(orphaned = false) {
      drained ??= drain({
        ...{ clock, logger, readers, save },
        patienceMs: orphaned ? 0 : patienceOf(settings.graceSeconds * 1_000),
        drainWorker: (flushMs) => worker.drain(flushMs),
        closeServer: () => server.close(),
        closeThreads: () => threads.close(),
      }).finally(() => keeper.close())
      return drained
    },
  }
}

/**
 * The sharder's program: starts a worker from the environment, prints `{"listening": port}`, and drains on SIGTERM,
 * SIGINT, SIGHUP, or when the parent that holds its IPC channel is gone. Resolves when it has drained.
 */
export async function runSharder(environment: Record<string, string | undefined> = process.env): Promise<void> {
  const settings = parseWorkerEnvironment(environment)
  const logger = createLogger('sharder', settings.logLevel).child({ worker: settings.workerId })
  const sharder = await startSharder(settings, logger)
  process.stdout.write(`${JSON.stringify({ listening: sharder.port })}\n`)
  const orphaned = await new Promise<boolean>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(false))
    // The terminal is gone. A shell and the kernel may each say so, and the second must not end what the first began.
    process.on('SIGHUP', () => resolve(false))
    process.once('disconnect', () => resolve(true))
  })
  await sharder.drain(orphaned)
}

if (import.meta.main) {
  try {
    await runSharder()
    process.exit(0)
  } catch (error) {
    process.stderr.write(`sharder: ${(error as Error).message}\n`)
    process.exit(1)
  }
}
