import type { CallOptions, ObjectName } from '../../../operator/kube/apply.ts'
import { AlreadyExistsError, ConflictError, UnavailableError } from '../../../operator/kube/errors.ts'
import type { Lease, LeaseApi, LeaseSpec } from '../../../operator/kube/lease.ts'

/** One Lease with the API server's optimistic concurrency, shared by several candidates. */
export class FakeLeases {
  #lease: Lease | undefined
  #version = 0

  get current(): Lease | undefined {
    return this.#lease
  }

  /** Somebody deletes or edits the Lease behind the candidates' backs. */
  set current(lease: Lease | undefined) {
    this.#version += 1
    this.#lease = lease && { ...lease, metadata: { ...lease.metadata, resourceVersion: `${this.#version}` } }
  }

  /** The API as one candidate reaches it; `network` can be changed while it runs. */
  reachedBy(): { api: LeaseApi; network: { state: 'up' | 'black-hole' | 'refused' | 'answers lost' } } {
    const network = { state: 'up' as 'up' | 'black-hole' | 'refused' | 'answers lost' }
    const over = async <T>(act: () => T): Promise<T> => {
      // A black hole ignores even the abort signal: the election must not depend on the transport's good will.
      if (network.state === 'black-hole') return new Promise(() => undefined)
      if (network.state === 'refused') throw new UnavailableError({ call: 'lease', message: 'ECONNREFUSED' })
      const answer = act()
      if (network.state === 'answers lost') throw new UnavailableError({ call: 'lease', message: 'ECONNRESET' })
      return answer
    }
    const api: LeaseApi = {
      get: () => over(() => this.#lease),
      create: (name: ObjectName, spec: LeaseSpec, _options: CallOptions) => over(() => this.#create(name, spec)),
      update: (lease: Lease, spec: LeaseSpec, _options: CallOptions) => over(() => this.#update(lease, spec)),
    }
    return { api, network }
  }

  #create({ namespace = 'ns', name }: ObjectName, spec: LeaseSpec): Lease {
    if (this.#lease) throw new AlreadyExistsError({ call: 'lease', code: 409, message: 'exists' })
    this.current = { metadata: { namespace, name, uid: `uid-${this.#version}`, resourceVersion: '' }, spec }
    return this.#stored()
  }

  #update(lease: Lease, spec: LeaseSpec): Lease {
    if (this.#lease?.metadata.resourceVersion !== lease.metadata.resourceVersion) {
      throw new ConflictError({ call: 'lease', code: 409, message: 'the object has been modified' })
    }
    this.current = { metadata: lease.metadata, spec }
    return this.#stored()
  }

  #stored(): Lease {
    if (!this.#lease) throw new Error('no lease')
    return this.#lease
  }
}
