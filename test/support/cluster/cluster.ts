import { type RunOptions, run } from './run.ts'

/** Everything needed to use a cluster from another process; plain data, so it can be handed to test workers. */
export interface ClusterHandle {
  readonly name: string
  readonly way: 'given' | 'docker' | 'kit'
  /** Path of a file. */
  readonly kubeconfig: string
  /** The address at which pods reach this machine. */
  readonly hostAddress: string
  /** What the programs below want in their environment (KUBECONFIG, DOCKER_HOST). */
  readonly environment: Readonly<Record<string, string>>
  /** Names or paths of the programs; `kind` and `docker` are absent for a given cluster that is no kind cluster. */
  readonly programs: {
    readonly kubectl: string
    readonly helm: string
    readonly kind?: string
    readonly docker?: string
  }
}

/** Runs a program against the cluster and resolves with its standard output; rejects with CommandFailed. */
export type Program = (args: readonly string[], options?: RunOptions) => Promise<string>

export interface Cluster extends ClusterHandle {
  readonly kubectl: Program
  readonly helm: Program
  readonly kind?: Program
  readonly docker?: Program
  /** Makes an image of the engine available to every node; does nothing where the nodes have it. */
  loadImage(tag: string): Promise<void>
}

/** The cluster of a handle, usable at once. It is not claimed and not ended by whoever opens it. */
export function openCluster(handle: ClusterHandle): Cluster {
  const { kubectl, helm, kind, docker } = handle.programs
  const program =
    (path: string): Program =>
    (args, options = {}) =>
      run(path, args, { ...options, env: { ...handle.environment, ...options.env } })

  return {
    ...handle,
    kubectl: program(kubectl),
    helm: program(helm),
    ...(kind ? { kind: program(kind) } : {}),
    ...(docker ? { docker: program(docker) } : {}),
    async loadImage(tag) {
      if (!kind) throw new Error(`the given cluster is no kind cluster: push ${tag} to a registry it can pull from`)
      const args = ['load', 'docker-image', tag, '--name', handle.name]
      await program(kind)(args, { timeoutMs: 300_000 })
    },
  }
}
