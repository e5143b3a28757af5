import type { StoredObject } from '../kube/objects.ts'
import type { PodSources } from '../manifests/pod.ts'

/** The fields of child objects that are read; everything else stays unread JSON. */
export interface StatefulSetObject extends StoredObject {
  readonly spec: {
    readonly replicas?: number
    readonly template?: { readonly spec?: { readonly containers?: readonly { name: string; image: string }[] } }
  }
  readonly status?: {
    readonly observedGeneration?: number
    /** Of the pods that are made from now on. */
    readonly updateRevision?: string
  }
}

export interface PodObject extends StoredObject, PodSources {
  readonly status?: {
    readonly podIP?: string
    readonly phase?: string
    readonly containerStatuses?: readonly ContainerStatus[]
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[]
  }
}

interface ContainerStatus {
  readonly name: string
  readonly restartCount?: number
  readonly state?: {
    readonly running?: object
    readonly waiting?: { readonly reason?: string; readonly message?: string }
    readonly terminated?: { readonly reason?: string; readonly exitCode?: number }
  }
  /** The run before. The kubelet shows it before it has started another and counted that. */
  readonly lastState?: { readonly terminated?: object }
}

export interface SecretObject extends StoredObject {
  readonly data?: Readonly<Record<string, string>>
}

/** The pod's ordinal: the number its name ends in. */
export const ordinalOf = (pod: PodObject): number => Number(/(\d+)$/.exec(pod.metadata.name)?.[1] ?? -1)

const containerOf = (pod: PodObject, name: string) =>
  pod.status?.containerStatuses?.find((status) => status.name === name)

/** A process runs in it that may hold shards. */
export const runs = (pod: PodObject, container: string): boolean =>
  containerOf(pod, container)?.state?.running !== undefined

/**
 * A process ran in it and may come back, with the shards it held: nobody else must get them yet. The kubelet starts no
 * container again in a pod that has ended or is being deleted.
 */
export function mayHoldShards(pod: PodObject, container: string): boolean {
  if (pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded') return false
  if (runs(pod, container)) return true
  const { restartCount = 0, state, lastState } = containerOf(pod, container) ?? {}
  const ended = state?.terminated ?? lastState?.terminated
  return pod.metadata.deletionTimestamp === undefined && (restartCount > 0 || ended !== undefined)
}

/** Why a pod does not run, in Kubernetes' words. */
export function whyNotRunning(pod: PodObject, container: string): string {
  const state = containerOf(pod, container)?.state
  const waiting = state?.waiting
  if (waiting?.reason) return waiting.message ? `${waiting.reason}: ${waiting.message.slice(0, 200)}` : waiting.reason
  if (state?.terminated)
    return `${state.terminated.reason ?? 'terminated'} (exit code ${state.terminated.exitCode ?? '?'})`
  const unscheduled = pod.status?.conditions?.find(({ type, status }) => type === 'PodScheduled' && status === 'False')
  return unscheduled?.message?.slice(0, 200) ?? pod.status?.phase ?? 'starting'
}
