import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A call as the API server saw it. A watch is one when it begins, however long it lasts. */
export interface AuditedCall {
  readonly user: string
  /** Kubernetes' words: get, list, watch, create, update, patch, delete. */
  readonly verb: string
  /** With its subresource: `shardclusters/status`. Empty for what is no resource, such as /healthz. */
  readonly resource: string
  /** undefined: all namespaces, or an object that is in none. */
  readonly namespace: string | undefined
  readonly code: number
}

/** The API server's own record of what some users asked of it: https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/ */
export interface Audit {
  readonly flags: readonly string[]
  /** Of all time, in the order of their answers. */
  calls(): readonly AuditedCall[]
}

interface AuditEvent {
  readonly auditID: string
  readonly verb: string
  readonly user: { readonly username: string }
  readonly objectRef?: { readonly resource: string; readonly subresource?: string; readonly namespace?: string }
  readonly responseStatus?: { readonly code?: number }
}

/** Prepares a record of what `users` ask, in `directory`. */
export function auditIn(directory: string, users: readonly string[]): Audit {
  // A rule without users would be about everybody.
  if (users.length === 0) return { flags: [], calls: () => [] }
  const [policy, log] = [join(directory, 'audit-policy.json'), join(directory, 'audit.log')]
  const rules = [{ level: 'Metadata', users }, { level: 'None' }]
  const document = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived'], rules }
  writeFileSync(policy, JSON.stringify(document))
  writeFileSync(log, '')
  return {
    flags: [`--audit-policy-file=${policy}`, `--audit-log-path=${log}`],
    calls: () => {
      // The last line may still be being written.
      const lines = readFileSync(log, 'utf8').split('\n').slice(0, -1)
      const events = lines.map((line) => JSON.parse(line) as AuditEvent)
      // A watch is there twice: as it begins and as it ends.
      return [...new Map(events.map((event) => [event.auditID, callOf(event)])).values()]
    },
  }
}

function callOf({ verb, user, objectRef, responseStatus }: AuditEvent): AuditedCall {
  const { resource = '', subresource, namespace } = objectRef ?? {}
  return {
    ...{ user: user.username, verb, namespace, code: responseStatus?.code ?? 0 },
    resource: subresource === undefined ? resource : `${resource}/${subresource}`,
  }
}
