import { KubeConfig } from '@kubernetes/client-node'
import { pino } from 'pino'
import { ObjectClient } from '../../../operator/kube/apply.ts'
import type { StoredObject } from '../../../operator/kube/objects.ts'
import { namespaces, type Resource, secrets, shardClusters } from '../../../operator/kube/resources.ts'
import { KubeTransport } from '../../../operator/kube/transport.ts'
import { runOperator } from '../../../operator/main.ts'
import { CONDITION_TYPES, type Condition, type ConditionType } from '../../../src/api/conditions.ts'
import type { ShardClusterStatus } from '../../../src/api/status.ts'
import { startRestProxy } from '../../../src/rest-proxy/index.ts'
import { fakeToken, type Simulator, startSimulator } from '../../../src/simulator/index.ts'
import { systemClock } from '../../../src/support/clock.ts'
import type { ApiServerOptions } from '../../support/apiserver/apiserver.ts'
import { freePorts } from '../../support/apiserver/ports.ts'
import type { TestWorker } from '../../support/worker/worker.ts'
import { type CrdServer, type Json, manifest, startCrdServer } from '../crd-server.ts'
import { TestKubelet } from './kubelet.ts'
import { type PodWorker, type StartPod, startTestWorker } from './pod-worker.ts'

export { eventually } from '../kube/world.ts'

export const quiet = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' })
const REST_KEY = 'rest-key'
/** A user of the API server who may do nothing, unless a test lets it. */
export const OPERATOR = 'operator'
/** The simulated Discord's window, milliseconds: cold starts take seconds. */
const WINDOW_MS = 200

export type Cluster = StoredObject & { readonly spec: Json; readonly status?: ShardClusterStatus }

/** An operator that runs in this process. */
export interface Operator {
  readonly url: string
  /** Of the API for bots. */
  readonly apiUrl: string
  /** A metric's samples by their labels. */
  metric(name: string): Promise<Map<string, number>>
  stop(): Promise<void>
}

/** A ShardCluster in a namespace of its own, with a bot of its own. */
export interface Bot {
  readonly namespace: string
  readonly token: string
  readonly restUrl: string
  /** Creates or changes the Secret with the bot's token and keys. */
  secret(change?: Record<string, string>): Promise<void>
  /** Creates the ShardCluster `bot`: 8 shards on 2 workers. */
  create(change?: (spec: Json) => void): Promise<void>
  get(): Promise<Cluster>
  child<T = Json>(resource: Resource, name: string): Promise<(StoredObject & T) | undefined>
  conditions(): Promise<Record<ConditionType, Condition>>
  /** `kubectl wait --for=condition=<type>=<status>`. */
  wait(type: ConditionType, status?: 'True' | 'False', seconds?: number): Promise<void>
  kubectl(...args: string[]): Promise<string>
  /** Reasons of the events on it, oldest first. */
  events(): Promise<{ type: string; reason: string; message: string }[]>
  /** Shards of each of its pods' workers, by ordinal. */
  held(): Promise<readonly (readonly number[])[]>
  /** What Discord counted of this bot. */
  discord(): ReturnType<Simulator['stats']>['bots'][number]
}

export interface OperatorWorld<W extends PodWorker = TestWorker> {
  readonly server: CrdServer
  readonly client: ObjectClient
  readonly kubelet: TestKubelet<W>
  readonly simulator: Simulator
  operator(environment?: Record<string, string>): Promise<Operator>
  bot(options?: { restUrl?: string }): Promise<Bot>
  /** A REST proxy for a bot's token. */
  restProxy(token: string, port?: number): Promise<string>
  close(): Promise<void>
}

/** An API server, a kubelet whose pods run test workers, and a Discord; whatever is started in it ends with it. */
export const startOperatorWorld = (options: ApiServerOptions = {}): Promise<OperatorWorld> =>
  startWorldOf(startTestWorker, options)

/** The same, with pods that run what `startPod` starts. */
export async function startWorldOf<W extends PodWorker>(
  startPod: StartPod<W>,
  options: ApiServerOptions = {},
): Promise<OperatorWorld<W>> {
  const server = await startCrdServer({ users: [{ name: OPERATOR }], ...options })
  // The operator finds its API server as kubectl does.
  process.env['KUBECONFIG'] = server.kubeconfig
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromFile(server.kubeconfig)
  const transport = KubeTransport.fromConfig(kubeConfig, { clock: systemClock, logger: quiet })
  const client = new ObjectClient(transport, 'test')
  const kubelet = new TestKubelet(new ObjectClient(transport, 'test-kubelet'), startPod)
  const simulator = await startSimulator({
    identifyWindowMs: WINDOW_MS,
    acceptAnyToken: true,
    bots: [{ recommendedShards: 6 }],
  })
  const closing: (() => Promise<unknown>)[] = []
  const restProxy: OperatorWorld<W>['restProxy'] = async (token, port = 0) => {
    const options = { token, port, authorization: REST_KEY, discordUrl: `${simulator.url}/api`, timeoutMs: 3_000 }
    const proxy = await startRestProxy(options, quiet)
    closing.push(proxy.close)
    return proxy.url
  }
  let bots = 0
  return {
    server,
    client,
    kubelet,
    simulator,
    restProxy,
    operator: async (environment = {}) => {
      const operator = await startOperator(environment)
      closing.push(operator.stop)
      return operator
    },
    async bot(options = {}) {
      const namespace = `bot-${++bots}`
      await client.apply(namespaces, { metadata: { name: namespace } })
      const applicationId = `10000000000000000${String(bots).padStart(2, '0')}`
      const token = fakeToken(applicationId)
      const restUrl = options.restUrl ?? (await restProxy(token))
      return botIn({ server, client, kubelet, simulator }, { namespace, applicationId, token, restUrl })
    },
    async close() {
      for (const close of closing.reverse()) await close()
      await kubelet.stop()
      await simulator.close()
      await transport.close()
      await server.stop()
    },
  }
}

/** An operator in that world, and a ShardCluster that it has made Ready. */
export async function startReadyBot(world: OperatorWorld): Promise<{ operator: Operator; bot: Bot }> {
  const operator = await world.operator()
  const bot = await world.bot()
  await bot.secret()
  await bot.create()
  await bot.wait('Ready')
  return { operator, bot }
}

function botIn(
  { server, client, kubelet, simulator }: Pick<OperatorWorld<PodWorker>, 'server' | 'client' | 'kubelet' | 'simulator'>,
  {
    namespace,
    applicationId,
    token,
    restUrl,
  }: { namespace: string; applicationId: string; token: string; restUrl: string },
): Bot {
  const kubectl = (...args: string[]) => server.kubectl(['-n', namespace, ...args])
  const child = <T>(resource: Resource, name: string) => client.get<StoredObject & T>(resource, { namespace, name })
  const get = async () => {
    const cluster = await child<Cluster>(shardClusters, 'bot')
    if (!cluster) throw new Error('there is no ShardCluster bot')
    return cluster
  }
  return {
    namespace,
    token,
    restUrl,
    kubectl,
    child,
    get,
    async secret(change = {}) {
      const stringData = { token, 'rest-authorization': REST_KEY, ...change }
      await client.apply(secrets, { metadata: { namespace, name: 'bot' }, ...{ stringData } })
    },
    async create(change = () => {}) {
      const cluster = manifest('bot', (spec) => {
        spec['totalShards'] = 8
        spec['rest'] = { baseUrl: restUrl, authorizationSecretRef: { name: 'bot' }, timeoutSeconds: 5 }
        spec['identify'] = { windowMilliseconds: WINDOW_MS }
        change(spec)
      })
      cluster.metadata['namespace'] = namespace
      await server.create(cluster)
    },
    async conditions() {
      const all = (await get()).status?.conditions ?? []
      const entries = CONDITION_TYPES.map((type) => [type, all.find((condition) => condition.type === type)])
      return Object.fromEntries(entries) as Record<ConditionType, Condition>
    },
    async wait(type, status = 'True', seconds = 40) {
      await kubectl('wait', 'shc/bot', `--for=condition=${type}=${status}`, `--timeout=${seconds}s`)
    },
    async events() {
      const text = await kubectl('get', 'events', '--field-selector=involvedObject.name=bot', '-o', 'json')
      return (JSON.parse(text) as { items: { type: string; reason: string; message: string }[] }).items
    },
    held: () =>
      Promise.all(
        [...kubelet.workers]
          .filter(([key]) => key.startsWith(`${namespace}/`))
          .sort(([a], [b]) => a.localeCompare(b))
          .map(([, worker]) => worker.held()),
      ),
    discord() {
      const stats = simulator.stats().bots.find((bot) => bot.applicationId === applicationId)
      if (!stats) throw new Error(`Discord has not seen the bot ${applicationId}`)
      return stats
    },
  }
}

/** A metric's samples by their labels, of whoever serves `url`. */
export async function metricOf(url: string, name: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
  return new Map(lines.map((line) => [line.slice(name.length, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]))
}

async function startOperator(environment: Record<string, string>): Promise<Operator> {
  const [port = 0, apiPort = 0] = await freePorts(2)
  const stop = new AbortController()
  const running = runOperator(
    {
      POD_NAME: 'operator',
      SHARDCLUSTER_WORKER_IMAGE: 'shardcluster:test',
      // Everything is on this machine: its REST proxies as well.
      SHARDCLUSTER_REST_HOSTS: '127.0.0.0/8',
      SHARDCLUSTER_HTTP_PORT: String(port),
      SHARDCLUSTER_API_PORT: String(apiPort),
      SHARDCLUSTER_LOG_LEVEL: process.env['TEST_LOG_LEVEL'] ?? 'silent',
      ...environment,
    },
    stop.signal,
  )
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    apiUrl: `http://127.0.0.1:${apiPort}`,
    metric: (name) => metricOf(url, name),
    async stop() {
      stop.abort()
      await running
    },
  }
}
