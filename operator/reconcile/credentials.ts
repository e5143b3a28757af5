import type { Reason } from '../../src/api/conditions.ts'
import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { formOf, formProblem } from '../../src/domain/secret-form.ts'
import { sinkSecrets } from '../../src/domain/sink-secrets.ts'
import type { ObjectClient } from '../kube/apply.ts'
import { secrets } from '../kube/resources.ts'
import { secretValue } from '../kube/secret-value.ts'
import { readKeySecret, type SharderKey } from '../manifests/key-secret.ts'
import { authoritySecretName, keySecretName, tlsSecretName } from '../manifests/names.ts'
import { readTrust } from '../manifests/trust-secrets.ts'
import type { StoredTrust } from '../trust/due-trust.ts'
import type { SecretObject } from './objects.ts'
import { notOurs, strangerOf } from './ownership.ts'

type Reference = ShardCluster['spec']['tokenSecretRef']

/** What a ShardCluster's Secrets say. Lives in memory only. */
export interface Credentials {
  readonly token: string
  /** What the REST proxy wants; undefined: `Bot <token>`. */
  readonly restAuthorization: string | undefined
  /** The key between manager and workers; undefined: not made yet. */
  readonly key: SharderKey | undefined
}

export type CredentialsAnswer =
  | { readonly ok: true; readonly credentials: Credentials }
  | { readonly ok: false; readonly problem: { readonly reason: Reason; readonly message: string } }

/** Reads each Secret that the ShardCluster names, by name: listing or watching Secrets would be too much of a right. */
export async function readCredentials(
  client: ObjectClient,
  cluster: ShardCluster,
  signal: AbortSignal,
): Promise<CredentialsAnswer> {
  const { namespace } = cluster.metadata
  const read = new Map<string, Promise<SecretObject | undefined>>()
  const secretNamed = (name: string) => {
    const known = read.get(name) ?? client.get<SecretObject>(secrets, { namespace, name }, { signal })
    read.set(name, known)
    return known
  }
  const values: string[] = []
  for (const { field, where, ref } of references(cluster)) {
    const secret = await secretNamed(ref.name)
    if (!secret)
      return missing(
        'SecretNotFound',
        `${where} names the Secret ${ref.name}, which does not exist in namespace ${namespace}: create it.`,
      )
    const value = secretValue(secret, ref.key)
    const named = `${where} names the key ${ref.key} of the Secret ${ref.name}, which`
    if (value === '') return missing('SecretKeyMissing', `${named} is missing or empty: add it.`)
    const wrong = formProblem(value, formOf(field))
    if (wrong !== undefined) return missing('SecretInvalid', `${named} ${wrong}: correct it.`)
    values.push(value)
  }
  const keySecret = await secretNamed(keySecretName(cluster))
  const stranger = keySecret && strangerOf(keySecret, cluster)
  if (stranger !== undefined) return missing('ApplyFailed', notOurs('Secret', keySecretName(cluster), stranger))
  const [token = '', restAuthorization] = values
  return {
    ok: true,
    credentials: {
      token,
      restAuthorization: cluster.spec.rest.authorizationSecretRef ? restAuthorization : undefined,
      key: readKeySecret(keySecret),
    },
  }
}

/** Reads what is stored of the workers' certificates. */
export async function readStoredTrust(
  client: ObjectClient,
  cluster: ShardCluster,
  signal: AbortSignal,
): Promise<StoredTrust> {
  const { namespace } = cluster.metadata
  const read = async (name: string) => {
    const secret = await client.get<SecretObject>(secrets, { namespace, name }, { signal })
    // What is somebody else's is no authority; that it is in the way is said when it is to be applied.
    return secret && strangerOf(secret, cluster) === undefined ? secret : undefined
  }
  const [authority, tls] = await Promise.all([read(authoritySecretName(cluster)), read(tlsSecretName(cluster))])
  return readTrust(authority, tls)
}

const missing = (reason: Reason, message: string): CredentialsAnswer => ({ ok: false, problem: { reason, message } })

/**
 * The token first, then the REST proxy's key; those of the sinks and of the API are only checked for being there, and for
 * their form. `where` is the field in words.
 */
function references({ spec: { tokenSecretRef, rest, events, api } }: ShardCluster) {
  const own = (field: string, ref: Reference | undefined) => (ref ? [{ field, where: field, ref }] : [])
  return [
    ...own('spec.tokenSecretRef', tokenSecretRef),
    ...own('spec.rest.authorizationSecretRef', rest.authorizationSecretRef),
    ...events.flatMap((sink) =>
      sinkSecrets(sink).map(({ field, ref }) => ({
        ...{ field, ref },
        where: `${field} of the sink ${sink.name} in spec.events`,
      })),
    ),
    ...own('spec.api.authorizationSecretRef', api?.authorizationSecretRef),
  ]
}
