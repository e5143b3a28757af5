import { onPath, run } from './run.ts'

/** Which cluster the tests take, and why, in words for the log. */
export type Way =
  | { readonly kind: 'given'; readonly kubeconfig: string; readonly why: string }
  | { readonly kind: 'docker'; readonly why: string }
  | { readonly kind: 'kit'; readonly why: string }

/**
 * 1. The cluster somebody names; 2. kind on the Docker engine that answers; 3. kind on an engine of our own, for
 * machines with neither an engine nor an image registry.
 */
export async function chooseWay(environment: NodeJS.ProcessEnv): Promise<Way> {
  const kubeconfig = environment['SHARDCLUSTER_TEST_KUBECONFIG']
  if (kubeconfig) return { kind: 'given', kubeconfig, why: `SHARDCLUSTER_TEST_KUBECONFIG names ${kubeconfig}` }
  if (!(await onPath('docker'))) return { kind: 'kit', why: 'there is no docker client here' }
  try {
    // The client exits with 0 on some versions even when no engine answers; the server's version is empty then.
    const version = await run('docker', ['info', '--format', '{{.ServerVersion}}'], { timeoutMs: 20_000 })
    if (version.trim()) return { kind: 'docker', why: `a Docker engine answers (${version.trim()})` }
  } catch {}
  return { kind: 'kit', why: 'no Docker engine answers here' }
}
