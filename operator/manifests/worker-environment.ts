import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { WORKER_RUNTIME, type WorkerSettings, workerEnvironment } from '../../src/protocol/worker-settings.ts'

type Variable = Readonly<Record<string, unknown>>

/**
 * The environment of a worker's container: our variables, then those of `spec.worker.env`. One of theirs takes the place
 * of ours, as the API server applies no list in which a name comes twice; but Node's options are added to ours, where
 * V8 takes the last of two: who raises the heap does not mean to give the rest of WORKER_RUNTIME up.
 */
export function environmentOf(cluster: ShardCluster, settings: Omit<WorkerSettings, 'workerId'>): Variable[] {
  const variables = new Map<unknown, Variable>([
    ['POD_NAME', { name: 'POD_NAME', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.name' } } }],
  ])
  const ours = { ...WORKER_RUNTIME, ...workerEnvironment(settings) }
  for (const [name, value] of Object.entries(ours)) variables.set(name, { name, value })
  for (const variable of cluster.spec.worker.env ?? []) {
    const { name } = variable
    // To the end, where they were written: a value may refer to variables that come before it.
    variables.delete(name)
    variables.set(name, name === 'NODE_OPTIONS' ? addedToOurs(variable) : variable)
  }
  return [...variables.values()]
}

/** What comes from a ConfigMap is not known here, and replaces ours. */
function addedToOurs(variable: Variable): Variable {
  const { value } = variable
  return typeof value === 'string' ? { ...variable, value: `${WORKER_RUNTIME.NODE_OPTIONS} ${value}` } : variable
}
