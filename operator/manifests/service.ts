import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { childMeta, selectorOf, serviceName } from './names.ts'
import { SHARDER_PORT } from './pod.ts'

/** The headless Service that gives the pods their names. Not-ready pods too: a worker is spoken to before it is ready. */
export function service(cluster: ShardCluster) {
  return {
    metadata: childMeta(cluster, serviceName(cluster)),
    spec: {
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      selector: selectorOf(cluster),
      ports: [{ name: 'http', port: SHARDER_PORT, targetPort: 'http', protocol: 'TCP' }],
    },
  }
}
