import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { KIND, shardClusterSchema } from '../../src/api/shard-cluster.ts'
import { type CrdServer, ROOT, startCrdServer } from './crd-server.ts'

const SAMPLES = join(ROOT, 'crds', 'samples')

let server: CrdServer
beforeAll(async () => {
  server = await startCrdServer()
})
afterAll(() => server?.stop())

const files = readdirSync(SAMPLES)

test('are those the documentation names', () => {
  expect(files.sort()).toEqual([
    'minimal.yaml',
    'nats.yaml',
    'production-5120.yaml',
    'rabbitmq.yaml',
    'redis.yaml',
    'simulator.yaml',
  ])
})

test.for(files)('%s is accepted, with the defaults of the TypeScript types', async (file) => {
  const args = ['apply', '--server-side', '--dry-run=server', '--validate=strict', '--output=yaml']
  const answer = await server.kubectl([...args, '--filename', join(SAMPLES, file)])
  const accepted = documents(answer).flatMap((object) => object.items ?? [object])
  const { spec } = accepted.find(({ kind }) => kind === KIND)
  expect(spec).toEqual(sample(file).spec)
})

test('the production sample can lose two workers without a change but kubectl scale', () => {
  const { totalShards = 0, totalWorkers, shardsPerWorker, gateway } = sample('production-5120.yaml').spec
  expect(totalShards).toBe(5120)
  expect(totalShards % (gateway.shardMultiple ?? 0)).toBe(0)
  expect(totalShards % totalWorkers).toBe(0)
  expect((totalWorkers - 2) * shardsPerWorker).toBeGreaterThanOrEqual(totalShards)
})

const documents = (text: string) => parseAllDocuments(text).map((document) => document.toJS())

function sample(file: string) {
  const text = readFileSync(join(SAMPLES, file), 'utf8')
  return shardClusterSchema.parse(documents(text).find(({ kind }) => kind === KIND))
}
