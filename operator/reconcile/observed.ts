import type { Reason } from '../../src/api/conditions.ts'
import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import type { ShardClusterStatus } from '../../src/api/status.ts'
import type { Fleet } from '../../src/manager/fleet.ts'
import type { SharderKey } from '../manifests/key-secret.ts'
import type { PodDefaults } from '../manifests/pod.ts'
import type { WorkerTrust } from '../trust/due.ts'
import type { CredentialsAnswer } from './credentials.ts'
import type { PodObject, StatefulSetObject } from './objects.ts'

/** What the manager says; linear in the number of shards. */
export type Heard = Pick<Observed, 'fleet' | 'settling' | 'empty' | 'estimatedTime'>

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
  /** The manager began so lately that it may not have heard every worker that runs. */
  readonly settling: boolean
  /** The API server refused a child, in words for the user. */
  readonly refused: { readonly reason: Reason; readonly message: string } | undefined
  /** Ordinals that hold nothing, as their workers said. */
  readonly empty: ReadonlySet<number>
  /** RFC 3339. */
  readonly time: string
  /** For times in messages: RFC 3339 of the fleet's estimate. */
  readonly estimatedTime: string | undefined
  /** The key between manager and workers that there shall be, whatever its Secret says. */
  readonly key: SharderKey
  /** The certificates of the workers that there shall be, whatever their Secrets say. */
  readonly trust: WorkerTrust
  readonly defaults: PodDefaults
}
