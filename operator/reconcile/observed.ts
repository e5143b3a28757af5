import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import type { ShardClusterStatus } from '../../src/api/status.ts'
import type { Fleet } from '../../src/manager/fleet.ts'
import type { PodDefaults } from '../manifests/pod.ts'
import type { CredentialsAnswer } from './credentials.ts'
import type { PodObject, StatefulSetObject } from './objects.ts'

/** All that a decision needs: plain data, gathered by observe. */
export interface Observed {
  readonly cluster: ShardCluster
  /** As it was last written, which may be newer than what the cache shows. */
  readonly status: ShardClusterStatus
  readonly credentials: CredentialsAnswer
  readonly statefulSets: readonly StatefulSetObject[]
  /** The worker pods of this ShardCluster, of every set. */
  readonly pods: readonly PodObject[]
  /** undefined: no manager runs for it yet. */
  readonly fleet: Fleet | undefined
  /** Ordinals that hold nothing, as their workers said. */
  readonly empty: ReadonlySet<number>
  /** RFC 3339. */
  readonly time: string
  /** For times in messages: RFC 3339 of the fleet's estimate. */
  readonly estimatedTime: string | undefined
  /** A fresh random key, in case one is needed. */
  readonly freshKey: string
  readonly defaults: PodDefaults
}
