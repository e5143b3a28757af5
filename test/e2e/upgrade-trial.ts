import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cluster } from '../support/cluster/cluster.ts'
import { buildImage } from '../support/cluster/image.ts'
import { progressLog } from '../support/cluster/progress.ts'
import { run } from '../support/cluster/run.ts'
import type { Place } from '../support/cluster/trial.ts'

const ROOT = join(import.meta.dirname, '..', '..')

/** The release before this one, as its tag has it: see docs/upgrades.md. */
const PREVIOUS = 'shardcluster-0.1.0'

/** A chart and the image that it is released with. */
export interface Release {
  readonly name: string
  readonly chart: string
  readonly image: string
}

/** The sources of a release, unpacked, and its image on every node. */
export class Releases {
  #directory = ''
  readonly #cluster: Cluster
  readonly #image: string

  constructor(cluster: Cluster, image: string) {
    this.#cluster = cluster
    this.#image = image
  }

  async unpack(): Promise<{ readonly previous: Release; readonly present: Release }> {
    this.#directory = await mkdtemp(join(tmpdir(), 'shardcluster-releases-'))
    const archive = join(import.meta.dirname, 'releases', `${PREVIOUS}.tar.gz`)
    await run('tar', ['--extract', '--gzip', '--file', archive, '--directory', this.#directory])
    const directory = join(this.#directory, PREVIOUS)
    const log = progressLog('e2e')
    const image = await buildImage(this.#cluster, { log, directory, repository: 'shardcluster-previous' })
    return {
      previous: { name: PREVIOUS, chart: join(directory, 'charts/shardcluster'), image },
      present: { name: 'this one', chart: join(ROOT, 'charts/shardcluster'), image: this.#image },
    }
  }

  async remove(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true })
  }
}

/** An operator for one namespace: put there, replaced and taken away, by Helm or as a static manifest. */
export class OperatorRelease {
  readonly #cluster: Cluster
  readonly #place: Place

  constructor(cluster: Cluster, place: Place) {
    this.#cluster = cluster
    this.#place = place
  }

  /** Installs it, or upgrades whatever release is there, with its CRD; resolves when it runs. */
  async helm(release: Release): Promise<void> {
    const { fullname } = this.#place
    const args = ['upgrade', '--install', fullname, release.chart, '--values', '-', '--wait', '--timeout', '3m']
    await this.#helm(args, release)
  }

  async helmUninstall(): Promise<void> {
    const { fullname, namespace } = this.#place
    const args = ['uninstall', fullname, '--namespace', namespace, '--ignore-not-found', '--wait']
    await this.#cluster.helm(args, { timeoutMs: 190_000 })
  }

  /** `kubectl apply` of what `helm template` prints, as those do who keep manifests in git. */
  async apply(release: Release): Promise<void> {
    const manifest = await this.#rendered(release)
    await this.#kubectl(['apply', '--server-side', '--force-conflicts', '--filename', '-'], manifest)
    await this.#kubectl(['rollout', 'status', `deployment/${this.#place.fullname}`, '--timeout=180s'])
  }

  async deleteApplied(release: Release): Promise<void> {
    const directory = await mkdtemp(join(tmpdir(), 'shardcluster-manifest-'))
    const file = join(directory, 'all.yaml')
    await writeFile(file, withoutCrd(await this.#rendered(release)))
    await this.#kubectl(['delete', '--filename', file, '--ignore-not-found'])
    await rm(directory, { recursive: true })
  }

  #rendered(release: Release): Promise<string> {
    return this.#helm(['template', this.#place.fullname, release.chart, '--values', '-'], release)
  }

  #helm(args: readonly string[], { image }: Release): Promise<string> {
    const { fullname, namespace } = this.#place
    const [repository, tag] = image.split(':')
    const values = { fullnameOverride: fullname, watchNamespaces: [namespace], image: { repository, tag } }
    return this.#cluster.helm([...args, '--namespace', namespace], {
      input: JSON.stringify(values),
      timeoutMs: 190_000,
    })
  }

  #kubectl(args: readonly string[], input?: string): Promise<string> {
    const options = { timeoutMs: 190_000, ...(input === undefined ? {} : { input }) }
    return this.#cluster.kubectl(['--namespace', this.#place.namespace, ...args], options)
  }
}

/** ShardClusters go with their CRD. */
const withoutCrd = (manifest: string): string =>
  manifest
    .split(/^---$/m)
    .filter((document) => !/^kind: CustomResourceDefinition$/m.test(document))
    .join('---\n')
