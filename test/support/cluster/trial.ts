import { join } from 'node:path'
import { z } from 'zod'
import type { Cluster } from './cluster.ts'

/** The image name that the chart takes when nobody says otherwise. */
export const RELEASE_IMAGE = 'shardcluster:0.2.0'

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

/** Where a release of the chart is: its namespace, and the prefix of its names. */
export interface Place {
  readonly namespace: string
  readonly fullname: string
}

const TRIAL: Place = { namespace: 'default', fullname: 'shardcluster' }

/** What the tests read of the simulator's statistics. */
const statsSchema = z.looseObject({
  identifies: z.number(),
  resumes: z.number(),
  replayedEvents: z.number(),
  connectedShards: z.number(),
  eventsSent: z.number(),
  violations: z.record(z.string(), z.number()),
  violationDetails: z.array(z.unknown()),
  owners: z.looseObject({
    samples: z.number(),
    most: z.number(),
    superseded: z.number(),
    breaches: z.array(z.unknown()),
  }),
  bots: z.array(
    z.looseObject({
      shards: z
        .record(
          z.string(),
          z.looseObject({
            connected: z.boolean(),
            identifies: z.number(),
            resumes: z.number(),
            sequences: z.record(z.string(), z.number()),
          }),
        )
        .optional(),
    }),
  ),
})
export type TrialStats = z.infer<typeof statsSchema>

/** Asks the simulated Discord, from inside its pod: nothing else needs to reach it. */
export async function simulatorStats(cluster: Cluster, place = TRIAL): Promise<TrialStats> {
  return statsSchema.parse(await askSimulator(cluster, place, 'stats?detail=1'))
}

/** `POST /control/<command>` of the simulated Discord. */
export async function controlSimulator(cluster: Cluster, place: Place, command: string, input: object): Promise<void> {
  await askSimulator(cluster, place, command, input)
}

function askSimulator(cluster: Cluster, place: Place, path: string, body?: object): Promise<unknown> {
  return fetchInPod(cluster, {
    namespace: place.namespace,
    workload: `deploy/${place.fullname}-simulator`,
    url: `http://127.0.0.1:8082/control/${path}`,
    keyFile: '/etc/shardcluster/control',
    body,
  })
}

const botSchema = z.looseObject({
  events: z.number(),
  types: z.record(z.string(), z.number()),
  duplicates: z.number(),
  lost: z.number(),
  sessions: z.number(),
  unread: z.number(),
  longestSilenceMs: z.number(),
  eventsPerSecond: z.number(),
  silences: z.array(z.looseObject({ shardId: z.number(), milliseconds: z.number() })),
  shards: z.record(
    z.string(),
    z.looseObject({ sequence: z.number(), events: z.number(), longestSilenceMs: z.number() }),
  ),
})
export type BotEndStats = z.infer<typeof botSchema>

export async function sampleBotStats(cluster: Cluster, place = TRIAL): Promise<BotEndStats> {
  return botSchema.parse(await askSampleBot(cluster, place, 'stats'))
}

/** From now on the bot end measures silences anew. */
export async function restartSilences(cluster: Cluster, place: Place): Promise<void> {
  await askSampleBot(cluster, place, 'silences/restart', {})
}

function askSampleBot(cluster: Cluster, place: Place, path: string, body?: object): Promise<unknown> {
  return fetchInPod(cluster, {
    namespace: place.namespace,
    workload: `deploy/${place.fullname}-sample-bot`,
    url: `http://127.0.0.1:8090/${path}`,
    keyFile: '/etc/shardcluster/authorization',
    body,
  })
}

interface Question {
  readonly namespace: string
  readonly workload: string
  readonly url: string
  /** Holds the key, in the pod. */
  readonly keyFile: string
  /** Makes it a POST. */
  readonly body?: object | undefined
}

async function fetchInPod(cluster: Cluster, question: Question): Promise<unknown> {
  const { namespace, workload, url, keyFile, body } = question
  const post = body && { method: 'POST', body: JSON.stringify(body) }
  const script = `
    const { readFileSync } = await import('node:fs')
    const headers = { authorization: readFileSync('${keyFile}', 'utf8').trim(), 'content-type': 'application/json' }
    const answer = await fetch('${url}', { ...${JSON.stringify(post ?? {})}, headers })
    if (!answer.ok) throw new Error(String(answer.status) + await answer.text())
    process.stdout.write(await answer.text() || 'null')`
  const args = ['exec', '--namespace', namespace, workload, '--', 'node', '--input-type=module', '--eval', script]
  return JSON.parse(await cluster.kubectl(args, { timeoutMs: 60_000 }))
}
