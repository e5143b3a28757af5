import { join } from 'node:path'
import { kitBinaries, type Log } from '../cluster/kit.ts'

export interface ApiServerBinaries {
  readonly apiServer: string
  readonly etcd: string
  readonly kubectl: string
}

/**
 * Paths of the programs: from KUBEBUILDER_ASSETS, the directory other Kubernetes test suites use, when it is set;
 * built by the kit otherwise, which takes minutes the first time and nothing later.
 */
export async function apiServerBinaries(log: Log): Promise<ApiServerBinaries> {
  const given = process.env['KUBEBUILDER_ASSETS']
  const directory = given ?? (await kitBinaries(['kube-apiserver', 'etcd', 'kubectl'], log))
  return {
    apiServer: join(directory, 'kube-apiserver'),
    etcd: join(directory, 'etcd'),
    kubectl: join(directory, 'kubectl'),
  }
}
