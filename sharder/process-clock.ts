import { type Clock, systemClock } from '../src/support/clock.ts'

/**
 * A clock that all threads of a process read alike: the origin of `performance.now()` is another one in each worker
 * thread, so that times from it could not be compared.
 */
export const processClock: Clock = {
  ...systemClock,
  now() {
    const [seconds, nanoseconds] = process.hrtime()
    return seconds * 1_000 + nanoseconds / 1e6
  },
}
