import { z } from 'zod'
import { conditionSchema } from './conditions.ts'
import { generation } from './kubernetes.ts'

const int32 = () =>
  z
    .int()
    .min(-(2 ** 31))
    .max(2 ** 31 - 1)

/** One row a worker, never one a shard: 5,000 shards must not make a megabyte of status. */
const workerStatus = z
  .object({
    ordinal: int32().describe('Ordinal of the worker.'),
    pod: z.string().optional().describe('Name of its pod.'),
    first: int32().optional().describe('First shard of its range; absent when it has none, as while it leaves.'),
    last: int32().optional().describe('Last shard of its range.'),
    ready: int32().describe('Shards of the range that are connected on it.'),
    message: z.string().optional().describe('What holds it up, or that it leaves.'),
  })
  .describe('A worker.')

export const statusSchema = z
  .object({
    observedGeneration: generation().optional().describe('The generation that this status is about.'),
    workers: int32().optional().describe('Workers that run (statusReplicasPath of the scale subresource).'),
    readyWorkers: int32().optional().describe('Workers whose whole range is connected.'),
    updatedWorkers: int32().optional().describe('Workers that are of the present pod template.'),
    workerImage: z
      .string()
      .optional()
      .describe('Image of the present pod template: workers that are made from now on run it.'),
    selector: z
      .string()
      .optional()
      .describe('Label selector of the worker pods, as a string (for HorizontalPodAutoscaler).'),
    totalShards: int32()
      .optional()
      .describe("Shards that are run: spec.totalShards, or Discord's recommendation as it was first asked."),
    readyShards: int32().optional().describe('Shards that are connected on their worker.'),
    shards: z.string().optional().describe('readyShards/totalShards, for people.'),
    maxConcurrency: int32().optional().describe("Number of identify buckets, from Discord's session start limit."),
    identify: z
      .object({
        total: int32().describe('IDENTIFYs that Discord grants a day.'),
        remaining: int32().describe('What is left of them.'),
        resetTime: z.string().meta({ format: 'date-time' }).describe('When they are counted anew.'),
        waiting: int32().describe('Shards that wait for an IDENTIFY.'),
        estimatedCompletionTime: z
          .string()
          .meta({ format: 'date-time' })
          .optional()
          .describe('When the last of them will have had it.'),
      })
      .optional()
      .describe("The bot's session start limit."),
    workerStatuses: z
      .array(workerStatus)
      .max(1_000)
      .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['ordinal'] })
      .optional()
      .describe('A row a worker.'),
    conditions: z
      .array(conditionSchema)
      .max(16)
      .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
      .optional()
      .describe('Ready, Progressing, Degraded, Stalled, Reconciling, IdentifyBudgetAvailable.'),
  })
  .describe('What the ShardCluster is, as the operator sees it.')

export type ShardClusterStatus = z.infer<typeof statusSchema>
export type WorkerStatus = NonNullable<ShardClusterStatus['workerStatuses']>[number]
