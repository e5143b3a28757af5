import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type ApiServer, startApiServer } from '../support/apiserver/apiserver.ts'
import { startDaemon } from '../support/apiserver/daemon.ts'
import { freePorts } from '../support/apiserver/ports.ts'
import { CHART, EVERYTHING, find, helm, render } from './helm.ts'

/** The operator itself, as a process of this machine, with the environment and the rights that the chart gives it. */

const ROOT = join(CHART, '..', '..')
const SERVICE_ACCOUNT = 'system:serviceaccount:system:shardcluster'
let server: ApiServer
const inSystem = (...args: string[]) => server.kubectl([...args, '--namespace=system'])

beforeAll(async () => {
  server = await startApiServer({ users: [{ name: SERVICE_ACCOUNT }] })
  await server.kubectl(['create', 'namespace', 'system'])
  await server.kubectl(['label', 'namespace', 'system', 'pod-security.kubernetes.io/enforce=restricted'])
})
afterAll(() => server?.stop())

interface Operator {
  readonly port: number
  /** Everything it wrote until now. */
  log(): string
  stop(): Promise<void>
}

async function startOperator(values: object): Promise<Operator> {
  const [container] = find(await render(values), 'Deployment', 'shardcluster').spec?.template?.spec.containers ?? []
  const [port = 0, apiPort = 0] = await freePorts(2)
  const env = {
    ...Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value ?? ''])),
    SHARDCLUSTER_NAMESPACE: 'system',
    POD_NAME: 'shardcluster-0',
    SHARDCLUSTER_HTTP_PORT: String(port),
    SHARDCLUSTER_API_PORT: String(apiPort),
    KUBECONFIG: server.kubeconfigOf(SERVICE_ACCOUNT),
  }
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const command = [process.execPath, join(ROOT, 'src', 'cli', 'main.ts'), ...(container?.args ?? [])]
  const directory = mkdtempSync(join(tmpdir(), 'shardcluster-operator-'))
  const file = join(directory, 'log')
  const daemon = startDaemon('env', [...variables, ...command], file, directory)
  onTestFinished(async () => {
    await daemon.stop()
    rmSync(directory, { recursive: true })
  })
  return { port, log: () => readFileSync(file, 'utf8'), stop: daemon.stop }
}

/** Makes the release what the values say, with the rights that come with it. */
async function release(values: object): Promise<void> {
  const flags = ['--namespace=system', '--values=-', `--kubeconfig=${server.kubeconfig}`]
  await helm(['upgrade', '--install', 'shardcluster', CHART, ...flags], { input: JSON.stringify(values) })
}

const applySample = () =>
  inSystem('apply', '--server-side', '--filename', join(ROOT, 'crds', 'samples', 'simulator.yaml'))

/** There is no garbage collector here. */
async function removeSample(): Promise<void> {
  await inSystem('delete', 'shardcluster', 'bot')
  await inSystem('delete', 'statefulset,service,pdb,secret', '--selector=shardcluster.dev/cluster=bot')
  await inSystem('delete', 'events.events.k8s.io', '--all')
}

describe.for([
  ['of the whole cluster', EVERYTHING],
  ['of chosen namespaces', { ...EVERYTHING, watchNamespaces: ['system'] }],
] as const)('with the rights %s', ([, values]) => {
  test('it runs a ShardCluster without being forbidden anything', async () => {
    await release(values)
    const operator = await startOperator(values)
    await expect.poll(() => status(operator, '/readyz'), { timeout: 60_000 }).toBe(200)
    await applySample()
    onTestFinished(removeSample)

    const reason = '{.status.conditions[?(@.type=="Ready")].reason}'
    await inSystem('wait', 'shardcluster/bot', `--for=jsonpath=${reason}`, '--timeout=60s')
    const children = [
      'statefulset/bot-30',
      'service/bot-sharders',
      'poddisruptionbudget/bot-sharders',
      'secret/bot-sharder-key',
    ]
    for (const child of children) await inSystem('wait', child, '--for=create', '--timeout=60s')
    await eventually(() => inSystem('get', 'events.events.k8s.io', '--output=name'))
    const holder = ['get', 'lease', 'shardcluster', '--output=jsonpath={.spec.holderIdentity}']
    expect(await inSystem(...holder)).toMatch(/^shardcluster-0_/)
    expect([await status(operator, '/healthz'), await status(operator, '/metrics')]).toEqual([200, 200])
    expect(operator.log()).toContain('"leading"')
    await operator.stop()
    expect(await inSystem(...holder), 'the Lease is free for the next').toBe('')
    expect(operator.log()).not.toMatch(/forbidden/i)
  })
})

test('without rights it is alive but not ready, and goes on when it gets them', async () => {
  await release({ ...EVERYTHING, rbac: { create: false } })
  const operator = await startOperator(EVERYTHING)
  await expect.poll(operator.log, { timeout: 60_000 }).toMatch(/forbidden/i)
  expect([await status(operator, '/healthz'), await status(operator, '/readyz')]).toEqual([200, 503])
  await release(EVERYTHING)
  await expect.poll(() => status(operator, '/readyz'), { timeout: 60_000 }).toBe(200)
})

test('the pods it makes are what Pod Security "restricted" takes', async () => {
  await release(EVERYTHING)
  await startOperator(EVERYTHING)
  await applySample()
  onTestFinished(removeSample)
  const read = () => inSystem('get', 'statefulset', 'bot-30', '--output=jsonpath={.spec.template}')
  const { spec } = JSON.parse(await eventually(read))
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'tried' }, spec })
  await server.kubectl(['create', '--namespace=system', '--dry-run=server', '--filename=-'], { input })
  expect(spec.containers[0].image).toBe('shardcluster:0.2.0')
})

/** The first answer that says something. */
const eventually = (read: () => Promise<string>): Promise<string> =>
  vi.waitFor(
    async () => {
      const answer = await read()
      if (answer === '') throw new Error('there is nothing yet')
      return answer
    },
    { timeout: 60_000, interval: 200 },
  )

/** HTTP status, or 0 where nothing listens yet. */
const status = ({ port }: Operator, path: string): Promise<number> =>
  fetch(`http://127.0.0.1:${port}${path}`).then(
    async (answer) => {
      await answer.text()
      return answer.status
    },
    () => 0,
  )
