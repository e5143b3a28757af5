import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { openCluster } from '../support/cluster/cluster.ts'
import { run } from '../support/cluster/run.ts'
import { nameImage, RELEASE_IMAGE, sampleBotStats, simulatorStats } from '../support/cluster/trial.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const cluster = openCluster(inject('cluster'))
const SHARDS = 30

/** Every command that the README tells to type, in its order. */
const readme = [...readFileSync(join(ROOT, 'README.md'), 'utf8').matchAll(/```sh\n([\s\S]*?)```/g)]
  .flatMap(([, block]) => (block ?? '').split('\n'))
  .filter((line) => line !== '')

/** Commands whose test is elsewhere, or which are this very run. */
const ELSEWHERE = [
  'npm start',
  'npm test',
  `docker build --tag ${RELEASE_IMAGE} .`,
  `kind load docker-image ${RELEASE_IMAGE}`,
]

const executed: string[] = []

/** Runs a command of the README as it stands there. */
async function command(text: string): Promise<string> {
  expect(readme, 'the README no longer says this').toContain(text)
  executed.push(text)
  const { kubectl, helm } = cluster.programs
  const [program = '', ...args] = text.split(' ')
  const path = { kubectl, helm }[program] ?? program
  return run(path, args, { cwd: ROOT, env: cluster.environment, timeoutMs: 330_000 })
}

interface Row {
  first: number
  last: number
  ready: number
}

interface Pod {
  metadata: { name: string; uid: string; deletionTimestamp?: string }
  status: { containerStatuses?: { restartCount: number }[] }
}

async function pods(): Promise<Pod[]> {
  const answer = await cluster.kubectl(['get', 'pods', '-l', 'shardcluster.dev/cluster=bot', '-o', 'json'])
  return (JSON.parse(answer) as { items: Pod[] }).items.filter(
    ({ metadata }) => metadata.deletionTimestamp === undefined,
  )
}

/** Waits until the ShardCluster has so many workers, all of them and all shards ready. */
async function settled(workers: number): Promise<void> {
  await expect.poll(async () => (await pods()).length, { timeout: 180_000, interval: 1_000 }).toBe(workers)
  const ready = (path: string, value: string) =>
    cluster.kubectl(['wait', `--for=jsonpath=${path}=${value}`, 'shardcluster/bot', '--timeout=180s'], {
      timeoutMs: 190_000,
    })
  await ready('{.status.readyWorkers}', String(workers))
  await ready('{.status.shards}', `${SHARDS}/${SHARDS}`)
  await ready('{.status.conditions[?(@.type=="Ready")].status}', 'True')
}

const uids = (list: Pod[]) => new Map(list.map(({ metadata }) => [metadata.name, metadata.uid]))

const patch = (spec: object) =>
  cluster.kubectl(['patch', 'shardcluster/bot', '--type=merge', '-p', JSON.stringify({ spec })])

/** Waits until no pod is one of these. */
async function renewed(before: ReadonlyMap<string, string>): Promise<void> {
  const old = async () => [...uids(await pods())].filter(([name, uid]) => before.get(name) === uid).length
  await expect.poll(old, { timeout: 180_000, interval: 1_000 }).toBe(0)
}

async function scale(replicas: number): Promise<void> {
  const text = `kubectl scale shardcluster/bot --replicas=${replicas}`
  if (readme.includes(text)) await command(text)
  else await cluster.kubectl(['scale', 'shardcluster/bot', `--replicas=${replicas}`])
}

async function expectNoViolations(): Promise<void> {
  const { violations, violationDetails, connectedShards } = await simulatorStats(cluster)
  expect(
    Object.values(violations).reduce((sum, n) => sum + n, 0),
    JSON.stringify(violationDetails),
  ).toBe(0)
  expect(connectedShards).toBe(SHARDS)
}

/** A namespace that takes nothing but what Pod Security calls restricted; `-` at its end takes the label away. */
const podSecurity = (label: string) => cluster.kubectl(['label', 'namespace', 'default', '--overwrite', label])

beforeAll(async () => {
  await podSecurity('pod-security.kubernetes.io/enforce=restricted')
  await nameImage(cluster, inject('image'))
}, 300_000)

// Its operator watches every namespace: whoever comes next in this cluster shall find none.
afterAll(async () => {
  await cluster.kubectl(['delete', 'shardcluster/bot', '--ignore-not-found'])
  await cluster.helm(['uninstall', 'shardcluster', '--ignore-not-found', '--wait'], { timeoutMs: 120_000 })
  await podSecurity('pod-security.kubernetes.io/enforce-')
}, 200_000)

describe('the quickstart of the README', () => {
  it('installs, applies, and every shard becomes READY without one violation', async () => {
    await command('kubectl apply -f crds/shardcluster.yaml')
    await command(
      'helm install shardcluster charts/shardcluster --set crds.enabled=false --set simulator.enabled=true --set restProxy.enabled=true --set sampleBot.enabled=true',
    )
    await command('kubectl apply -f crds/samples/simulator.yaml')
    await command('kubectl wait --for=condition=Ready shardcluster/bot --timeout=5m')
    await settled(3)
    await expectNoViolations()
    const { bots } = await simulatorStats(cluster)
    const identifies = Object.values(bots[0]?.shards ?? {}).map((shard) => shard.identifies)
    expect(identifies).toEqual(Array(SHARDS).fill(1))
  })

  it('answers helm test: the operator is ready and may do what it must', async () => {
    const said = await cluster.helm(['test', 'shardcluster', '--logs'], { timeoutMs: 300_000 })
    expect(said.match(/Phase:\s+Succeeded/g)).toHaveLength(2)
    expect(said).toMatch(/(\d+) of \1 rights are there\./)
  })

  it('shows what goes on', async () => {
    const [head = '', row = ''] = (await command('kubectl get shc')).split('\n')
    expect(head).toMatch(/^NAME\s+SHARDS\s+WORKERS\s+NEW\s+READY\s+REASON\s+AGE/)
    expect(row).toMatch(/^bot\s+30\/30\s+3\s+3\s+True\s+AllShardsReady\s/)
    expect(Math.max(head.length, row.length)).toBeLessThanOrEqual(80)
    const described = await command('kubectl describe shc bot')
    expect(described).toMatch(/Type:\s+Ready/)
    expect(described).toContain('All 30 shards are connected.')
    expect(described).toContain('AllShardsReady')
    const explained = await command('kubectl explain shc.spec')
    expect(explained).toContain('totalWorkers')
    expect(explained).toContain('kubectl scale changes it')
  })

  it('delivers the events', async () => {
    await expect
      .poll(async () => (await sampleBotStats(cluster)).events, { timeout: 60_000 })
      .toBeGreaterThan(SHARDS * 3)
    expect((await sampleBotStats(cluster)).types['GUILD_CREATE']).toBeGreaterThanOrEqual(SHARDS)
  })

  it('scales up and down: shards move, pods that stay are not restarted', async () => {
    const before = uids(await pods())
    await scale(5)
    await settled(5)
    await expectNoViolations()
    const up = await pods()
    for (const [name, uid] of before) expect(uids(up).get(name)).toBe(uid)
    await scale(2)
    await settled(2)
    await expectNoViolations()
    const down = await pods()
    for (const { metadata, status } of down) {
      expect(before.get(metadata.name)).toBe(metadata.uid)
      expect(status.containerStatuses?.map(({ restartCount }) => restartCount)).toEqual([0])
    }
    const rows = async () => {
      const path = 'jsonpath={.status.workerStatuses}'
      const workers = JSON.parse(await cluster.kubectl(['get', 'shc', 'bot', '-o', path])) as Row[]
      return workers.map(({ first, last, ready }) => [first, last, ready])
    }
    // The row of a pod that ends goes with the pod's object, a moment after its deletion began.
    await expect.poll(rows, { timeout: 60_000 }).toEqual([
      [0, 14, 15],
      [15, 29, 15],
    ])
  })

  it('replaces pod by pod when the template changes, without one IDENTIFY', async () => {
    const before = uids(await pods())
    const { identifies } = await simulatorStats(cluster)
    await patch({ worker: { podAnnotations: { rolled: 'once' } } })
    await renewed(before)
    await settled(2)
    await expectNoViolations()
    expect((await simulatorStats(cluster)).identifies).toBe(identifies)
  })

  it('stops at the first pod of a template that does not come up, and goes back', async () => {
    const before = uids(await pods())
    const { identifies } = await simulatorStats(cluster)
    await patch({ worker: { image: 'there-is-no-such-image:1', imagePullPolicy: 'Never' } })
    const conditions = () => cluster.kubectl(['get', 'shc', 'bot', '-o', 'jsonpath={.status.conditions}'])
    await expect.poll(conditions, { timeout: 60_000 }).toMatch(/ErrImageNeverPull|worker 1 is not back yet/)
    expect(uids(await pods()).get('bot-30-0')).toBe(before.get('bot-30-0'))
    await patch({ worker: { image: null, imagePullPolicy: null } })
    await settled(2)
    await expectNoViolations()
    expect(uids(await pods()).get('bot-30-0')).toBe(before.get('bot-30-0'))
    expect((await simulatorStats(cluster)).identifies).toBe(identifies)
  })

  it('refuses a scale below what the shards need, and says why', async () => {
    await patch({ shardsPerWorker: 15 })
    await expect(cluster.kubectl(['scale', 'shardcluster/bot', '--replicas=1'])).rejects.toThrow(
      /totalShards do not fit on the workers/,
    )
    await patch({ shardsPerWorker: 30 })
  })

  it('deletes everything with the ShardCluster', async () => {
    await command('kubectl delete shardcluster/bot')
    const children = [
      'get',
      'statefulsets,services,secrets,poddisruptionbudgets,pods',
      '-l',
      'shardcluster.dev/cluster=bot',
      '-o',
      'name',
    ]
    await expect.poll(() => cluster.kubectl(children), { timeout: 120_000, interval: 1_000 }).toBe('')
    await expect.poll(async () => (await simulatorStats(cluster)).connectedShards, { timeout: 60_000 }).toBe(0)
  })

  it('goes on when the operator is killed while shards identify', async () => {
    await command('kubectl apply -f crds/samples/simulator.yaml').finally(() => executed.pop())
    const connected = async () => (await simulatorStats(cluster)).connectedShards
    await expect.poll(connected, { timeout: 120_000, interval: 200 }).toBeGreaterThan(2)
    const operator = ['delete', 'pod', '-l', 'app.kubernetes.io/component=operator', '--grace-period=0', '--force']
    await cluster.kubectl(operator, { timeoutMs: 60_000 })
    expect(await connected()).toBeLessThan(SHARDS)
    await settled(3)
    await expectNoViolations()
    const { bots } = await simulatorStats(cluster)
    // Once in the first life of this ShardCluster's shards, and once after they were deleted and made again; moves resume.
    for (const { identifies } of Object.values(bots[0]?.shards ?? {})) expect(identifies).toBeLessThanOrEqual(3)
  })

  it('has tried every command of the README', () => {
    expect(readme.filter((text) => !ELSEWHERE.includes(text) && !executed.includes(text))).toEqual([])
  })
})
