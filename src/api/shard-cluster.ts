import { z } from 'zod'
import { dnsLabel } from './kubernetes.ts'
import { specSchema } from './spec.ts'
import { statusSchema } from './status.ts'

export const GROUP = 'shardcluster.dev'
export const VERSION = 'v1alpha1'
export const API_VERSION = `${GROUP}/${VERSION}`
export const KIND = 'ShardCluster'
export const PLURAL = 'shardclusters'
export const SHORT_NAME = 'shc'

/**
 * The longest name: children are named after it, the longest being the StatefulSet's pods' controller-revision-hash
 * label, `<name>-<totalShards>-<10 characters>` in 63.
 */
export const MAX_NAME_LENGTH = 40

const metadataSchema = z.looseObject({
  name: dnsLabel.max(MAX_NAME_LENGTH),
  namespace: z.string().optional(),
  uid: z.string().optional(),
  generation: z.int().optional(),
  resourceVersion: z.string().optional(),
  deletionTimestamp: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
})

/** A whole ShardCluster, as it is written in a manifest or read from the API server; defaults are filled in. */
export const shardClusterSchema = z.object({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal(KIND),
  metadata: metadataSchema,
  spec: specSchema,
  status: statusSchema.optional(),
})

export type ShardCluster = z.infer<typeof shardClusterSchema>
export type ShardClusterManifest = z.input<typeof shardClusterSchema>
