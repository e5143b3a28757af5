import { z } from 'zod'
import { generation } from './kubernetes.ts'

/**
 * The conditions of a ShardCluster, all of them written on the first visit.
 * - `Ready`: every shard is connected, on the worker that shall hold it.
 * - `Progressing`: something is under way that ends by itself.
 * - `Degraded`: something is wrong that does not stop the rest.
 * - `Stalled`: only the user can help (kstatus reads it as failed).
 * - `Reconciling`: what Progressing is, under the name that kstatus looks for:
 *   https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
 * - `IdentifyBudgetAvailable`: the session start limit leaves room above `identify.reserve`.
 */
export const CONDITION_TYPES = [
  'Ready',
  'Progressing',
  'Degraded',
  'Stalled',
  'Reconciling',
  'IdentifyBudgetAvailable',
] as const
export type ConditionType = (typeof CONDITION_TYPES)[number]

/** Every reason that a condition or an event can carry, so that alerts and scripts can name them. */
export const REASONS = {
  /** Everything is as it should be. */
  AllShardsReady: 'AllShardsReady',
  AsExpected: 'AsExpected',
  /** Nothing is known yet. */
  Starting: 'Starting',
  /** Progress that ends by itself. */
  WaitingForWorkers: 'WaitingForWorkers',
  ConnectingToWorkers: 'ConnectingToWorkers',
  IdentifyingShards: 'IdentifyingShards',
  ResumingShards: 'ResumingShards',
  MovingShards: 'MovingShards',
  RollingOut: 'RollingOut',
  WaitingForSessionInfo: 'WaitingForSessionInfo',
  WaitingForIdentifyBudget: 'WaitingForIdentifyBudget',
  /** What is wrong without stopping the rest. */
  WorkerUnavailable: 'WorkerUnavailable',
  ShardsFailing: 'ShardsFailing',
  IdentifyCircuitOpen: 'IdentifyCircuitOpen',
  SinkUnavailable: 'SinkUnavailable',
  SinkUnauthorized: 'SinkUnauthorized',
  RestProxyUnavailable: 'RestProxyUnavailable',
  RestProxyUnauthorized: 'RestProxyUnauthorized',
  RestProxyRateLimited: 'RestProxyRateLimited',
  ApplyFailed: 'ApplyFailed',
  /** What only the user can mend. */
  InvalidSpec: 'InvalidSpec',
  SecretNotFound: 'SecretNotFound',
  SecretKeyMissing: 'SecretKeyMissing',
  SecretInvalid: 'SecretInvalid',
  GatewayNotAllowed: 'GatewayNotAllowed',
  TokenRejected: 'TokenRejected',
  InvalidIntents: 'InvalidIntents',
  DisallowedIntents: 'DisallowedIntents',
  IllegalShardCount: 'IllegalShardCount',
  ShardingRequired: 'ShardingRequired',
  UnsupportedGatewayVersion: 'UnsupportedGatewayVersion',
  TooManyShards: 'TooManyShards',
  /** The daily budget. */
  BudgetAvailable: 'BudgetAvailable',
  BudgetLow: 'BudgetLow',
  BudgetUnknown: 'BudgetUnknown',
} as const
export type Reason = (typeof REASONS)[keyof typeof REASONS]

/** metav1.Condition. `lastTransitionTime` moves only when `status` does. */
export const conditionSchema = z
  .object({
    type: z.string().min(1).max(316).describe('Type of the condition, in CamelCase.'),
    status: z.enum(['True', 'False', 'Unknown']).describe('True, False or Unknown.'),
    observedGeneration: generation().optional().describe('The generation this is about.'),
    lastTransitionTime: z.string().meta({ format: 'date-time' }).describe('When status last changed.'),
    reason: z.string().min(1).max(1024).describe('Why, as one word that programs can compare.'),
    message: z.string().max(32_768).describe('Why, in a sentence, with the next step.'),
  })
  .describe('A condition.')
export type Condition = z.infer<typeof conditionSchema>
