import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { gatewayHosts } from '../../src/api/gateway-hosts.ts'
import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { specSchema } from '../../src/api/spec.ts'
import type { PodTemplate } from './pod.ts'

/**
 * On a StatefulSet: its pod template as it was applied, and what of the spec it was made of. A newer operator, whose
 * image and whose template differ, applies it again as it is: an upgrade of the operator restarts no worker.
 */
export const TEMPLATE_ANNOTATION = 'shardcluster.dev/template'

/** The fields of the spec that a pod template is made of. */
const askedSchema = specSchema.pick({ tokenSecretRef: true, events: true, worker: true })
const gatewaySchema = z.object({ hosts: gatewayHosts })

const recordSchema = z.object({
  asked: askedSchema,
  /**
   * Beside `asked`, which an operator of the release before takes with no field that it does not know. Not there: an operator
   * that knew no `gateway.hosts` made the template, and its pods hold no URL against any.
   */
  gateway: gatewaySchema.optional(),
  template: z.record(z.string(), z.unknown()),
})

type Asked = z.output<typeof askedSchema>

/** When to renew is no part of what the pods are. */
function askedOf({ spec: { tokenSecretRef, events, worker } }: ShardCluster): Asked {
  const { upgrade: _, ...rest } = worker
  return askedSchema.parse({ tokenSecretRef, events, worker: rest })
}

/** @returns the value of the annotation for a template that was made of this spec. */
export const recordTemplate = (cluster: ShardCluster, template: PodTemplate): string =>
  JSON.stringify({ asked: explicit(askedOf(cluster)), gateway: hostsOf(cluster), template })

/**
 * @param recorded The annotation of the StatefulSet that is there.
 * @returns the template that its pods are of, while what was asked then is what is asked now, read with this
 * operator's defaults; undefined when it shall be made anew.
 */
export function keptTemplate(cluster: ShardCluster, recorded: string | undefined): PodTemplate | undefined {
  if (recorded === undefined || cluster.spec.worker.upgrade === 'WithOperator') return undefined
  const record = recordSchema.safeParse(parseJson(recorded))
  if (!record.success) return undefined
  const { asked, gateway } = record.data
  if (!isDeepStrictEqual(asked, askedOf(cluster))) return undefined
  if (gateway && !isDeepStrictEqual(gateway.hosts, cluster.spec.gateway.hosts)) return undefined
  // Some operator's own template: it is passed on and never looked into.
  return record.data.template as unknown as PodTemplate
}

/** Without what the default says anyway: another default is no change. */
const hostsOf = ({ spec: { gateway } }: ShardCluster) =>
  isDeepStrictEqual(gateway.hosts, gatewaySchema.parse({}).hosts) ? {} : { hosts: gateway.hosts }

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * Without what the defaults say anyway: a field that a later version adds, with its default, must not look like a
 * change.
 */
function explicit(asked: Asked): unknown {
  const document: unknown = structuredClone(asked)
  const implied = () => {
    const parsed = askedSchema.safeParse(document)
    return parsed.success && isDeepStrictEqual(parsed.data, asked)
  }
  const prune = (node: unknown): void => {
    if (node === null || typeof node !== 'object') return
    for (const [key, value] of Object.entries(node)) {
      if (!Array.isArray(node)) {
        Reflect.deleteProperty(node, key)
        if (implied()) continue
        Reflect.set(node, key, value)
      }
      prune(value)
    }
  }
  prune(document)
  return document
}
