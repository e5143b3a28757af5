import { createHash } from 'node:crypto'
import { intentsBitField } from '../api/intents.ts'
import type { ShardCluster } from '../api/shard-cluster.ts'
import type { Desired } from './ports.ts'

/** Changing it makes shards that Discord turned away for good try again: `kubectl annotate shc/bot shardcluster.dev/retry="$(date)"`. */
export const RETRY_ANNOTATION = 'shardcluster.dev/retry'

/**
 * What the manager is told of a ShardCluster. `token` only enters as a digest; `keptTotalShards` is Discord's
 * recommendation as it was first asked, for a ShardCluster that names no number.
 */
export function desiredOf({ metadata, spec }: ShardCluster, token: string, keptTotalShards?: number): Desired {
  const { gateway, identify } = spec
  const intents = intentsBitField(gateway.intents)
  const totalShards = spec.totalShards ?? keptTotalShards
  const remedy = [token, intents, gateway.version, totalShards, metadata.annotations?.[RETRY_ANNOTATION]]
  return {
    totalShards,
    totalWorkers: spec.totalWorkers,
    shardsPerWorker: spec.shardsPerWorker,
    shardMultiple: gateway.shardMultiple,
    gateway: {
      version: gateway.version,
      intents,
      compression: gateway.compression,
      ...(gateway.presence && { presence: gateway.presence }),
    },
    gatewayHosts: gateway.hosts,
    identify,
    saveSessionsMs: spec.sessions.saveIntervalSeconds * 1_000,
    remedy: createHash('sha256').update(JSON.stringify(remedy)).digest('hex').slice(0, 16),
  }
}
