import type { Logger } from './logger.ts'

/** Lets `promise` go on by itself: what it throws is logged, because an unhandled rejection would end the process. */
export function background(promise: Promise<unknown>, logger: Logger, where: string): void {
  promise.catch((error: unknown) => logger.error({ err: error, where }, 'unexpected error'))
}
