import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { kitBinaries } from '../support/cluster/kit.ts'
import { onPath, type RunOptions, run } from '../support/cluster/run.ts'

export const CHART = join(import.meta.dirname, '..', '..', 'charts', 'shardcluster')

/** Everything that can be switched on and needs nothing but Kubernetes, in one release. */
export const EVERYTHING = {
  replicas: 2,
  networkPolicy: { enabled: true, workers: { enabled: true, namespaces: ['system'] } },
  restProxy: { enabled: true },
  simulator: { enabled: true },
  sampleBot: { enabled: true },
}

/** And what needs the CRDs of the Prometheus operator. */
export const MONITORED = {
  ...EVERYTHING,
  monitoring: {
    serviceMonitor: { enabled: true },
    workers: { enabled: true },
    prometheusRule: { enabled: true },
    dashboard: { enabled: true },
  },
}

export interface Container {
  readonly name: string
  readonly image: string
  readonly args: readonly string[]
  readonly env?: readonly { name: string; value?: string; valueFrom?: object }[]
  readonly ports?: readonly { name: string; containerPort: number }[]
  readonly securityContext: object
  readonly [field: string]: unknown
}

export interface PodSpec {
  readonly containers: readonly Container[]
  readonly securityContext: object
  readonly [field: string]: unknown
}

export interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}

/** An object as the chart prints it, with the fields that the tests look at. */
export interface Rendered {
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly rules?: readonly Rule[]
  readonly subjects?: readonly object[]
  readonly data?: Readonly<Record<string, string>>
  readonly spec?: {
    readonly template?: { readonly metadata: Rendered['metadata']; readonly spec: PodSpec }
    readonly ports?: readonly { name: string; port: number; targetPort: string }[]
    readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> }
    readonly [field: string]: unknown
  }
}

let program: Promise<string> | undefined

/** Runs helm: the one on PATH, or the one the kit builds. Rejects with CommandFailed. */
export async function helm(args: readonly string[], options: RunOptions = {}): Promise<string> {
  program ??= onPath('helm').then(async (found) =>
    found ? 'helm' : join(await kitBinaries(['helm'], (line) => process.stderr.write(`${line}\n`)), 'helm'),
  )
  return await run(await program, args, options)
}

/** What a release named `shardcluster` in namespace `system` consists of. */
export async function render(values: object = {}, release = 'shardcluster'): Promise<Rendered[]> {
  const args = ['template', release, CHART, '--namespace=system', '--values=-']
  const text = await helm(args, { input: JSON.stringify(values) })
  return parseAllDocuments(text).flatMap((document) => document.toJS() ?? [])
}

/** `Kind/name` of each object, with the namespace where it is not that of the release; sorted. */
export const names = (objects: readonly Rendered[]): string[] =>
  objects
    .map(({ kind, metadata: { name, namespace } }) =>
      namespace === undefined || namespace === 'system' ? `${kind}/${name}` : `${kind}/${namespace}/${name}`,
    )
    .sort()

/** The one object of that kind and name. */
export function find(objects: readonly Rendered[], kind: string, name: string): Rendered {
  const [found, ...more] = objects.filter((object) => object.kind === kind && object.metadata.name === name)
  if (!found || more.length > 0) throw new Error(`there is not one ${kind}/${name} in ${names(objects).join(', ')}`)
  return found
}

/** Every pod: those of the Deployments, and the one of `helm test`. */
export const pods = (objects: readonly Rendered[]) =>
  objects.flatMap(({ kind, metadata, spec }): { metadata: Rendered['metadata']; spec: PodSpec }[] => {
    if (kind === 'Pod') return [{ metadata, spec: spec as unknown as PodSpec }]
    return spec?.template?.spec.containers
      ? [{ metadata: { ...spec.template.metadata, name: metadata.name }, spec: spec.template.spec }]
      : []
  })
