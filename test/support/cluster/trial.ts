import { join } from 'node:path'
import { z } from 'zod'
import type { Cluster } from './cluster.ts'

/** The image name that the chart takes when nobody says otherwise. */
export const RELEASE_IMAGE = 'shardcluster:0.1.0'

const ROOT = join(import.meta.dirname, '..', '..', '..')

/** Gives the image the name that the chart expects, on every node. */
export async function nameImage(cluster: Cluster, image: string): Promise<void> {
  if (!cluster.docker) return
  await cluster.docker(['tag', image, RELEASE_IMAGE])
  await cluster.loadImage(RELEASE_IMAGE)
}

/** Operator, simulated Discord, REST proxy and sample bot, in the default namespace. */
export async function installTrial(cluster: Cluster, image: string): Promise<void> {
  const [repository, tag] = image.split(':')
  const enabled = ['simulator', 'restProxy', 'sampleBot'].flatMap((part) => ['--set', `${part}.enabled=true`])
  const named = ['--set', `image.repository=${repository}`, '--set', `image.tag=${tag}`]
  const args = ['upgrade', '--install', 'shardcluster', join(ROOT, 'charts/shardcluster'), ...enabled, ...named]
  await cluster.helm([...args, '--wait', '--timeout', '5m'], { timeoutMs: 330_000 })
}

/** The sample ShardCluster of the trial, until every shard is connected. */
export async function applySample(cluster: Cluster): Promise<void> {
  await cluster.kubectl(['apply', '--filename', join(ROOT, 'crds/samples/simulator.yaml')])
  const ready = ['wait', '--for=condition=Ready', 'shardcluster/bot', '--timeout=300s']
  await cluster.kubectl(ready, { timeoutMs: 310_000 })
}

/** What the tests read of the simulator's statistics. */
const statsSchema = z.looseObject({
  identifies: z.number(),
  resumes: z.number(),
  connectedShards: z.number(),
  eventsSent: z.number(),
  violations: z.record(z.string(), z.number()),
  violationDetails: z.array(z.unknown()),
  bots: z.array(
    z.looseObject({
      shards: z.record(z.string(), z.looseObject({ connected: z.boolean(), identifies: z.number() })).optional(),
    }),
  ),
})
export type TrialStats = z.infer<typeof statsSchema>

/** Asks the simulated Discord, from inside its pod: nothing else needs to reach it. */
export async function simulatorStats(cluster: Cluster): Promise<TrialStats> {
  return statsSchema.parse(
    await fetchInPod(
      cluster,
      'deploy/shardcluster-simulator',
      'http://127.0.0.1:8082/control/stats?detail=1',
      '/etc/shardcluster/control',
    ),
  )
}

const botSchema = z.looseObject({ events: z.number(), types: z.record(z.string(), z.number()) })

export async function sampleBotStats(cluster: Cluster): Promise<z.infer<typeof botSchema>> {
  return botSchema.parse(await fetchInPod(cluster, 'deploy/shardcluster-sample-bot', 'http://127.0.0.1:8090/stats'))
}

async function fetchInPod(cluster: Cluster, workload: string, url: string, keyFile?: string): Promise<unknown> {
  const script = `
    const { readFileSync } = await import('node:fs')
    const headers = ${keyFile ? `{ authorization: readFileSync('${keyFile}', 'utf8').trim() }` : '{}'}
    const answer = await fetch('${url}', { headers })
    if (!answer.ok) throw new Error(String(answer.status) + await answer.text())
    process.stdout.write(await answer.text())`
  const args = ['exec', workload, '--', 'node', '--input-type=module', '--eval', script]
  return JSON.parse(await cluster.kubectl(args, { timeoutMs: 60_000 }))
}
