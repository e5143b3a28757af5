import { z } from 'zod'

/** Marks for the CRD that JSON Schema has no words for: see https://kubernetes.io/docs/reference/kubernetes-api/ (JSONSchemaProps). */
export const INT_OR_STRING = { 'x-kubernetes-int-or-string': true } as const
export const PRESERVE_UNKNOWN = { 'x-kubernetes-preserve-unknown-fields': true } as const

/** A rule that the API server checks: `rule` is CEL over `self`. Messages are constant, to stay below the CEL cost limit. */
export interface ValidationRule {
  readonly rule: string
  readonly message: string
  readonly fieldPath?: string
}
export const validations = (...rules: ValidationRule[]) => ({ 'x-kubernetes-validations': rules })

/** A name as DNS label: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names */
export const dnsLabel = z
  .string()
  .min(1)
  .max(63)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
    'must be lower case letters, digits and "-", and begin and end with a letter or digit',
  )

/**
 * A URL that a request may be sent to: http or https, without user and password, which belong into a Secret. CEL-free
 * patterns, so that the API server and a manifest on disk get the same answer.
 */
export const httpUrl = z
  .string()
  .max(2048)
  .regex(
    /^https?:\/\/[^\s/?#@\\]+(?:[/?#]\S*)?$/,
    'must be an http:// or https:// URL without user and password: put those into a Secret',
  )

/** A URL that paths are added to: neither a query nor a fragment may come before them. */
export const httpBaseUrl = z
  .string()
  .max(2048)
  .regex(
    /^https?:\/\/[^\s/?#@\\]+(?:\/[^\s?#@\\]*)?$/,
    'must be an http:// or https:// URL without user, password, query and fragment',
  )

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names */
const subdomain = z
  .string()
  .min(1)
  .max(253)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    'must be the name of a Secret: lower case letters, digits, "-" and "."',
  )

/** https://kubernetes.io/docs/concepts/configuration/secret/#restriction-names-data */
const secretKey = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[-._a-zA-Z0-9]+$/, 'must be the key of a Secret: letters, digits, "-", "_" and "."')

/** A key of a Secret in the ShardCluster's namespace. */
export const secretKeyRef = (defaultKey: string, about: string) =>
  z
    .strictObject({
      name: subdomain.describe('Name of a Secret in the same namespace.'),
      key: secretKey.default(defaultKey).describe('Key in that Secret.'),
    })
    .describe(about)

/** `metadata.generation` of an object, as conditions and status repeat it. */
export const generation = () => z.int().min(0).max(Number.MAX_SAFE_INTEGER).meta({ format: 'int64' })

/** A quantity such as `500m` or `1Gi`. */
const quantity = z
  .union([z.string().max(64), z.int()])
  .meta({ ...INT_OR_STRING })
  .describe('A Kubernetes quantity, such as 500m or 1Gi.')

export const resourceRequirements = z
  .strictObject({
    requests: z.record(z.string(), quantity).optional().describe('What the scheduler sets aside for each worker.'),
    limits: z.record(z.string(), quantity).optional().describe('What a worker may use at most.'),
  })
  .describe('Requests and limits of each worker, as in a pod.')

/** A part of the pod API that is handed on unread; the API server checks it when the StatefulSet is applied. */
export const podPart = (about: string) =>
  z
    .record(z.string(), z.unknown())
    .meta({ ...PRESERVE_UNKNOWN })
    .describe(about)
