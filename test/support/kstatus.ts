import type { Condition } from '../../src/api/conditions.ts'

/** What the rules read of an object. */
export interface KstatusObject {
  readonly metadata: {
    readonly generation?: number | undefined
    readonly deletionTimestamp?: string | undefined
  }
  readonly status?: {
    readonly observedGeneration?: number | undefined
    readonly conditions?: readonly Condition[] | undefined
  }
}

export type Kstatus = 'Terminating' | 'InProgress' | 'Failed' | 'Current'

/**
 * The rules by which Flux, kpt and others judge a custom resource, in their order:
 * https://github.com/kubernetes-sigs/cli-utils/tree/5895ad6/pkg/kstatus/status (generic.go and status.go, Compute).
 */
export function kstatus({ metadata, status = {} }: KstatusObject): Kstatus {
  if (metadata.deletionTimestamp) return 'Terminating'
  const { observedGeneration, conditions = [] } = status
  if (
    metadata.generation !== undefined &&
    observedGeneration !== undefined &&
    observedGeneration !== metadata.generation
  )
    return 'InProgress'
  for (const { type, status } of conditions) {
    if (type === 'Reconciling' && status === 'True') return 'InProgress'
    if (type === 'Stalled' && status === 'True') return 'Failed'
  }
  const ready = conditions.find(({ type }) => type === 'Ready')
  return ready && ready.status !== 'True' ? 'InProgress' : 'Current'
}
