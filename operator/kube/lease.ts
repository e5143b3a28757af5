import type { CallOptions, ObjectName } from './apply.ts'
import type { Transport } from './call.ts'
import { NotFoundError } from './errors.ts'
import type { StoredMeta } from './objects.ts'
import { apiVersionOf, leases, pathOf } from './resources.ts'

/** coordination.k8s.io/v1 LeaseSpec. Times are V1MicroTime. */
export interface LeaseSpec {
  /** Empty or missing: nobody holds the lease. */
  readonly holderIdentity?: string
  readonly leaseDurationSeconds?: number
  readonly acquireTime?: string
  readonly renewTime?: string
  readonly leaseTransitions?: number
}

export interface Lease {
  readonly metadata: StoredMeta
  readonly spec: LeaseSpec
}

/** The calls leader election makes. Writes are guarded by resourceVersion: ConflictError when somebody was faster. */
export interface LeaseApi {
  get(name: ObjectName, options: CallOptions): Promise<Lease | undefined>
  /** AlreadyExistsError when somebody was faster. */
  create(name: ObjectName, spec: LeaseSpec, options: CallOptions): Promise<Lease>
  update(lease: Lease, spec: LeaseSpec, options: CallOptions): Promise<Lease>
}

export function leaseApi(transport: Transport): LeaseApi {
  const head = { apiVersion: apiVersionOf(leases), kind: leases.kind }
  return {
    async get(name, options) {
      try {
        return await transport.request<Lease>({ method: 'GET', path: pathOf(leases, name), ...options })
      } catch (error) {
        if (error instanceof NotFoundError) return undefined
        throw error
      }
    },
    create: ({ namespace, name }, spec, options) =>
      transport.request<Lease>({
        method: 'POST',
        path: pathOf(leases, { namespace }),
        body: { ...head, metadata: { name, namespace }, spec },
        ...options,
      }),
    // PUT, not apply: the stored object with its resourceVersion goes back, so a lost race is a conflict.
    update: ({ metadata }, spec, options) =>
      transport.request<Lease>({
        method: 'PUT',
        path: pathOf(leases, metadata),
        body: { ...head, metadata, spec },
        ...options,
      }),
  }
}

/** V1MicroTime: the API server refuses a time with the three digits of `toISOString` (client-node #828). */
export function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z')
}
