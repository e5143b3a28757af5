import { isDeepStrictEqual } from 'node:util'
import { DISCORD_GATEWAY_HOSTS } from '../../src/api/gateway-hosts.ts'
import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { sinkSecrets, sinkSettings } from '../../src/domain/sink-secrets.ts'
import { KEY_SECRET_KEY, keySecretName, labelsOf, TLS_SECRET_KEYS, tlsSecretName } from './names.ts'
import { environmentOf } from './worker-environment.ts'

export const SHARDER_PORT = 8080
export const CONTAINER = 'sharder'

const SECRETS = '/etc/shardcluster'
const STATE = '/var/lib/shardcluster'

/** The image's user: https://github.com/GoogleContainerTools/distroless calls it nonroot. */
const NONROOT = 65_532

/** What the operator itself brings to a pod. */
export interface PodDefaults {
  /** The operator's own image: one image holds all commands. */
  readonly image: string
  readonly imagePullPolicy: string | undefined
}

/** Which Secrets a pod mounts, as far as it is read. */
export interface PodSources {
  readonly spec?: {
    readonly volumes?: readonly {
      readonly projected?: { readonly sources: readonly { readonly secret?: { readonly name: string } }[] }
    }[]
  }
}

export type PodTemplate = ReturnType<typeof podTemplate>

/** The pod template of the workers. Pod Security "restricted"; the token is a file, never an environment variable. */
export function podTemplate(cluster: ShardCluster, defaults: PodDefaults, labels: Record<string, string>) {
  const { worker } = cluster.spec
  return {
    metadata: {
      labels: { ...worker.podLabels, ...labelsOf(cluster), ...labels },
      annotations: {
        'prometheus.io/scrape': 'true',
        'prometheus.io/port': String(SHARDER_PORT),
        'kubectl.kubernetes.io/default-container': CONTAINER,
        ...worker.podAnnotations,
      },
    },
    spec: {
      // A sharder has no business with the API server.
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: worker.terminationGracePeriodSeconds,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: NONROOT,
        runAsGroup: NONROOT,
        fsGroup: NONROOT,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      ...scheduling(cluster),
      containers: [container(cluster, defaults)],
      volumes: [
        { name: 'secrets', projected: { defaultMode: 0o440, sources: secretSources(cluster) } },
        { name: 'state', emptyDir: {} },
      ],
    },
  }
}

/** An image of somebody's own may be of a release that cannot. */
const shallServeTls = ({ spec: { worker } }: ShardCluster): boolean => worker.tls ?? worker.image === undefined

/**
 * Whether the worker in this pod serves TLS: its certificate is mounted. That is a fact of Kubernetes', and nobody can
 * change it in a pod that exists; what the worker says or does not say over the network counts for nothing.
 */
export const servesTls = ({ spec }: PodSources, cluster: ShardCluster): boolean =>
  spec?.volumes?.some(({ projected }) =>
    projected?.sources.some(({ secret }) => secret?.name === tlsSecretName(cluster)),
  ) === true

function container(cluster: ShardCluster, defaults: PodDefaults) {
  const { worker } = cluster.spec
  const imagePullPolicy = worker.imagePullPolicy ?? (worker.image === undefined ? defaults.imagePullPolicy : undefined)
  return {
    name: CONTAINER,
    image: worker.image ?? defaults.image,
    ...(imagePullPolicy && { imagePullPolicy }),
    args: ['sharder'],
    env: environment(cluster),
    ports: [{ name: 'http', containerPort: SHARDER_PORT, protocol: 'TCP' }],
    ...(worker.resources && { resources: worker.resources }),
    // Ready means reachable, not "all shards connected": those may wait half an hour for their slots.
    readinessProbe: { httpGet: { path: '/readyz', port: 'http' }, periodSeconds: 5, timeoutSeconds: 3 },
    // Generous: a restart costs every session of the worker a resume.
    livenessProbe: {
      httpGet: { path: '/healthz', port: 'http' },
      periodSeconds: 10,
      timeoutSeconds: 5,
      failureThreshold: 6,
    },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: [
      { name: 'secrets', mountPath: SECRETS, readOnly: true },
      { name: 'state', mountPath: STATE },
    ],
  }
}

function environment(cluster: ShardCluster) {
  const { worker, events, gateway } = cluster.spec
  return environmentOf(cluster, {
    host: '0.0.0.0',
    port: SHARDER_PORT,
    threads: worker.threads,
    tokenFile: `${SECRETS}/token`,
    authorizationFile: `${SECRETS}/authorization`,
    ...(shallServeTls(cluster) && {
      tls: {
        certificateFile: `${SECRETS}/${TLS_SECRET_KEYS.certificate}`,
        keyFile: `${SECRETS}/${TLS_SECRET_KEYS.privateKey}`,
      },
    }),
    sinks: events.map((sink) => sinkSettings(sink, ({ file }) => `${SECRETS}/${file}`)),
    // Left out where it says what a worker does anyway: the templates of all that run stay as they are.
    ...(!isDeepStrictEqual(gateway.hosts, DISCORD_GATEWAY_HOSTS) && { gatewayHosts: gateway.hosts }),
    logLevel: worker.logLevel,
    stateDirectory: STATE,
    graceSeconds: worker.terminationGracePeriodSeconds,
  })
}

function secretSources(cluster: ShardCluster) {
  const { tokenSecretRef, events } = cluster.spec
  const source = (name: string, key: string, path: string) => ({ secret: { name, items: [{ key, path }] } })
  return [
    source(tokenSecretRef.name, tokenSecretRef.key, 'token'),
    source(keySecretName(cluster), KEY_SECRET_KEY, 'authorization'),
    ...(shallServeTls(cluster)
      ? Object.values(TLS_SECRET_KEYS).map((key) => source(tlsSecretName(cluster), key, key))
      : []),
    ...events.flatMap(sinkSecrets).map(({ ref, file }) => source(ref.name, ref.key, file)),
  ]
}

function scheduling({ spec: { worker } }: ShardCluster) {
  const { nodeSelector, tolerations, affinity, topologySpreadConstraints, priorityClassName, imagePullSecrets } = worker
  return {
    ...(nodeSelector && { nodeSelector }),
    ...(tolerations && { tolerations }),
    ...(affinity && { affinity }),
    ...(topologySpreadConstraints && { topologySpreadConstraints }),
    ...(priorityClassName && { priorityClassName }),
    ...(imagePullSecrets && { imagePullSecrets }),
  }
}
