import { z } from 'zod'
import { specSchema } from '../src/api/spec.ts'
import type { ApiKey, ApiSource } from '../src/bot-api/source.ts'
import type { ObjectClient } from './kube/apply.ts'
import { objectKey, type StoredObject } from './kube/objects.ts'
import { secrets } from './kube/resources.ts'
import { secretValue } from './kube/secret-value.ts'
import type { StoreReader } from './kube/store.ts'
import type { Fleets } from './reconcile/fleets.ts'
import type { SecretObject } from './reconcile/objects.ts'

export interface ApiSourceOptions {
  readonly clusters: StoreReader<StoredObject>
  readonly fleets: Pick<Fleets, 'get' | 'botOf'>
  readonly client: Pick<ObjectClient, 'get'>
}

/** Of a spec that does not fit otherwise, this part may be good: what runs goes on, and so does its API. */
const clusterSchema = z.object({ spec: z.object({ api: specSchema.shape.api }) })

/** A Secret is waited for so long, in milliseconds. */
const READ_MS = 5_000

/** The ShardClusters of this operator, as the bot API needs them. */
export function apiSource({ clusters, fleets, client }: ApiSourceOptions): ApiSource {
  const keyIn = (namespace: string, ref: { readonly name: string; readonly key: string }): ApiKey => ({
    id: `${namespace}/${ref.name}/${ref.key}`,
    async read() {
      const signal = AbortSignal.timeout(READ_MS)
      const secret = await client.get<SecretObject>(secrets, { namespace, name: ref.name }, { signal })
      return secretValue(secret, ref.key)
    },
  })
  return {
    find(namespace, name) {
      const key = objectKey(namespace, name)
      const stored = clusters.get(key)
      if (!stored) return undefined
      const ref = clusterSchema.safeParse(stored).data?.spec.api?.authorizationSecretRef
      const manager = fleets.get(key)
      const [bot, directory] = [fleets.botOf(key), manager?.directory]
      return { namespace, name, key: ref && keyIn(namespace, ref), bot, directory }
    },
  }
}
