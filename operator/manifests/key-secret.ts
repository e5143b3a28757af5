import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { childMeta, KEY_SECRET_KEY, keySecretName } from './names.ts'

/** The key between manager and workers. `key`: made once, kept for as long as the ShardCluster lives. */
export function keySecret(cluster: ShardCluster, key: string) {
  return {
    metadata: childMeta(cluster, keySecretName(cluster)),
    type: 'Opaque',
    data: { [KEY_SECRET_KEY]: Buffer.from(key).toString('base64') },
  }
}
