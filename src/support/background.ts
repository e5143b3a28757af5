import { Counter, type Registry } from 'prom-client'
import type { Logger } from './logger.ts'

/** One a process, because a bug is the process' own; each registry that wants it shows the same numbers. */
const unexpected = new Counter({
  name: 'shardcluster_unexpected_errors_total',
  help: 'Errors that nobody expected, in work that nobody waits for, by `where`; a bug of ours.',
  labelNames: ['where'],
  registers: [],
})

/** Shows `shardcluster_unexpected_errors_total` in this registry. */
export function registerUnexpectedErrors(registry: Registry): void {
  registry.registerMetric(unexpected)
}

/**
 * Lets `promise` go on without anybody waiting for it: a rejection is logged and counted. Without this it would end the
 * process, and with it the work for every other ShardCluster.
 * `where`: a few fixed words that say what failed; a label of the metric, so never a name or a number.
 */
export function background(promise: PromiseLike<unknown>, logger: Pick<Logger, 'error'>, where: string): void {
  promise.then(undefined, (err: unknown) => unexpectedError(err, logger, where))
}

/** Runs `action` at once; what it throws is logged and counted, for callers that nobody could throw to: timers. */
export function guarded(action: () => void, logger: Pick<Logger, 'error'>, where: string): void {
  try {
    action()
  } catch (err) {
    unexpectedError(err, logger, where)
  }
}

function unexpectedError(err: unknown, logger: Pick<Logger, 'error'>, where: string): void {
  unexpected.inc({ where })
  logger.error({ err, where }, 'an unexpected error, in work that nobody waits for: please report it')
}
