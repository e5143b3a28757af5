import { join } from 'node:path'
import { expect, vi } from 'vitest'
import { CONDITION_TYPES, REASONS } from '../../src/api/conditions.ts'
import { API_VERSION, GROUP, KIND, PLURAL } from '../../src/api/shard-cluster.ts'
import { type ApiServer, type ApiServerOptions, startApiServer } from '../support/apiserver/apiserver.ts'
import { CommandFailed } from '../support/cluster/run.ts'

export const ROOT = join(import.meta.dirname, '..', '..')

export type Json = { [key: string]: unknown }
export type Manifest = { metadata: Json; spec: Json; [key: string]: unknown }

/** A real API server that has the CRD, and what the tests do with it. */
export interface CrdServer extends ApiServer {
  create(object: Manifest, ...flags: string[]): Promise<Manifest>
  get(name: string): Promise<Manifest>
  /** A merge patch, of the object or with `--subresource=status` of its status. */
  patch(name: string, change: object, ...flags: string[]): Promise<string>
}

export async function startCrdServer(options: ApiServerOptions = {}): Promise<CrdServer> {
  const server = await startApiServer(options)
  const { kubectl } = server
  try {
    await kubectl(['apply', '--server-side', '--filename', join(ROOT, 'crds', 'shardcluster.yaml')])
    await kubectl(['wait', '--for=condition=Established', '--timeout=30s', `crd/${PLURAL}.${GROUP}`])
    // The schema that explain and strict validation read is published a little later.
    await vi.waitFor(() => kubectl(['explain', KIND]), { timeout: 30_000, interval: 100 })
  } catch (error) {
    await server.stop()
    throw error
  }
  return {
    ...server,
    create: async (object, ...flags) =>
      JSON.parse(
        await kubectl(['create', '--output=json', ...flags, '--filename', '-'], { input: JSON.stringify(object) }),
      ),
    get: async (name) => JSON.parse(await kubectl(['get', 'shardcluster', name, '--output=json'])),
    patch: (name, change, ...flags) =>
      kubectl(['patch', 'shardcluster', name, '--type=merge', ...flags, '--patch', JSON.stringify(change)]),
  }
}

/** A ShardCluster that is accepted; `change` gets a copy of its own. */
export function manifest(name: string, change: (spec: Json) => void = () => {}): Manifest {
  const spec: Json = {
    totalWorkers: 2,
    shardsPerWorker: 10,
    totalShards: 16,
    tokenSecretRef: { name: 'bot' },
    rest: { baseUrl: 'http://rest-proxy:8000' },
    // Where the simulated Discord is.
    gateway: { intents: ['Guilds'], hosts: ['ws://127.0.0.1'] },
    events: [{ name: 'bot', http: { url: 'http://bot:8080/' } }],
  }
  change(spec)
  return { apiVersion: API_VERSION, kind: KIND, metadata: { name }, spec }
}

export const sinks = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ name: `sink-${index}`, http: { url: 'http://bot/' } }))

/** A status as the operator writes it. */
export const status = (change: object = {}) => ({
  observedGeneration: 1,
  workers: 2,
  readyWorkers: 1,
  selector: 'app.kubernetes.io/component=sharder,shardcluster.dev/cluster=bot',
  totalShards: 5120,
  readyShards: 4987,
  shards: '4987/5120',
  workerImage: 'shardcluster:0.2.0',
  maxConcurrency: 16,
  identify: { total: 25_000, remaining: 19_880, resetTime: '2026-01-01T00:00:00Z', waiting: 133 },
  conditions: CONDITION_TYPES.map((type) => ({
    type,
    status: 'False',
    reason: REASONS.WaitingForIdentifyBudget,
    message: 'Held until 00:00 UTC.',
    lastTransitionTime: '2026-01-01T00:00:00Z',
    observedGeneration: 1,
  })),
  ...change,
})

/** What kubectl says when it is refused; fails when it is not. */
export async function refusal(attempt: Promise<unknown>): Promise<string> {
  const error = await attempt.then(
    () => expect.fail('it was accepted'),
    (reason) => reason,
  )
  expect(error).toBeInstanceOf(CommandFailed)
  return (error as CommandFailed).message
}
