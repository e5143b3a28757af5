import { SHARDER_PORT } from '../../../operator/manifests/pod.ts'
import { TestWorker, type WorkerState } from '../../support/worker/worker.ts'

/** What is mounted at /etc/shardcluster, by file name; it changes as a kubelet changes it. */
export type PodFiles = Map<string, string>

/** What a pod's container is started with. */
export interface PodStart {
  readonly name: string
  readonly ordinal: number
  /** The pod's address. */
  readonly host: string
  readonly files: PodFiles
  /** Of the manifest, the downward API filled in. */
  readonly environment: Readonly<Record<string, string>>
  /** The pod's emptyDir. */
  readonly state: WorkerState
}

/** What runs in a pod. */
export interface PodWorker {
  /** Shards it holds, ascending. */
  held(): Promise<readonly number[]>
  /** The files that it was started with are others now. */
  mounted?(): void
  /** SIGTERM. */
  drain(): Promise<void>
  /** The node is lost. */
  crash(): Promise<void>
}

export type StartPod<W extends PodWorker> = (start: PodStart) => Promise<W>

/** The worker of the tests, in this process. */
export const startTestWorker: StartPod<TestWorker> = ({ ordinal, host, files, state }) =>
  TestWorker.start({
    workerId: ordinal,
    host,
    port: SHARDER_PORT,
    authorization: () => files.get('authorization') ?? '',
    token: () => files.get('token') ?? '',
    ...(files.has('tls.crt') && {
      certificate: () => ({ cert: files.get('tls.crt') ?? '', key: files.get('tls.key') ?? '' }),
    }),
    state,
  })
