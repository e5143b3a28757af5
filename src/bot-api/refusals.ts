import { ApiError, type ApiErrorCode } from './errors.ts'
import type { Refused } from './wire.ts'

/** Who asks too much of the main thread, asks again after this long, in milliseconds. */
const BUSY_MS = 1_000

const REFUSALS: Record<Refused['refused'], readonly [ApiErrorCode, string]> = {
  NOT_LEADING: ['NOT_LEADING', 'This operator is a standby: try again, on a new connection, to reach the leader.'],
  NO_CLUSTER: ['UNAUTHORIZED', 'There is no such ShardCluster any more.'],
  STARTING: [
    'STARTING',
    'The shards of this ShardCluster are not known yet: try again, or see its conditions (kubectl describe shc).',
  ],
  BUSY: ['RATE_LIMITED', 'More is asked than can be answered now: wait retry_after seconds.'],
}

/** Why whoever knows the ShardClusters did not answer, as the caller is told. */
export function refusalOf({ refused }: Refused): ApiError {
  const [code, message] = REFUSALS[refused]
  return new ApiError(code, message, refused === 'BUSY' ? { retryAfterMs: BUSY_MS } : {})
}
