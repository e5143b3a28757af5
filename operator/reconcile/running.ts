import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import type { GatewayManager } from '../../src/manager/gateway-manager.ts'
import type { LaneMember } from '../../src/manager/lane-member.ts'
import type { SecureWorkerAgent } from '../../src/manager/worker-agent.ts'
import type { SharderKey } from '../manifests/key-secret.ts'
import type { Remedy } from './remedy.ts'

/** The manager of a ShardCluster, and what it was told. */
export interface Running {
  readonly manager: GatewayManager
  readonly bot: string
  /** Its place among the ShardClusters of its bot. */
  readonly member: LaneMember
  readonly startedAt: number
  /** As it was managed last. */
  cluster: ShardCluster
  /** Another UID is another ShardCluster of the same name; another number of shards another set of workers. */
  identity: string
  /** How session info is asked for, as a digest. */
  source: string
  remedy: Remedy | undefined
  /** What workers may want, likeliest first. */
  keys: readonly string[]
  /** When a worker last wanted none of them, on the injected clock. */
  keysRefusedAt: number | undefined
  /** For workers that serve TLS. */
  readonly agent: SecureWorkerAgent
  untrustedAt: number | undefined
  /** Pods that ran before this manager did: of those that were not heard yet it only knows what status says. */
  readonly inherited: ReadonlySet<string>
}

/** The one before stays known, also where the Secret was changed by hand: kubelets take their time. */
export function takeKey(running: Running, { current, previous }: SharderKey): void {
  if (running.keys[0] === current) return
  const known = [current, previous, running.keys[0]].filter((key) => key !== undefined)
  running.keys = [...new Set(known)]
}
