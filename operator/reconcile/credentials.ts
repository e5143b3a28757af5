import type { Reason } from '../../src/api/conditions.ts'
import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { sinkSecrets } from '../../src/domain/sink-secrets.ts'
import type { ObjectClient } from '../kube/apply.ts'
import { secrets } from '../kube/resources.ts'
import { secretValue } from '../kube/secret-value.ts'
import { readKeySecret, type SharderKey } from '../manifests/key-secret.ts'
import { authoritySecretName, keySecretName, tlsSecretName } from '../manifests/names.ts'
import { readTrust } from '../manifests/trust-secrets.ts'
import type { StoredTrust } from '../trust/due-trust.ts'
import type { SecretObject } from './objects.ts'

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
  for (const { field, ref } of references(cluster)) {
    const secret = await secretNamed(ref.name)
    if (!secret)
      return missing(
        'SecretNotFound',
        `${field} names the Secret ${ref.name}, which does not exist in namespace ${namespace}: create it.`,
      )
    const value = secretValue(secret, ref.key)
    if (value === '')
      return missing(
        'SecretKeyMissing',
        `${field} names the key ${ref.key} of the Secret ${ref.name}, which is missing or empty: add it.`,
      )
    values.push(value)
  }
  const [token = '', restAuthorization] = values
  return {
    ok: true,
    credentials: {
      token,
      restAuthorization: cluster.spec.rest.authorizationSecretRef ? restAuthorization : undefined,
      key: readKeySecret(await secretNamed(keySecretName(cluster))),
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
  const read = (name: string) => client.get<SecretObject>(secrets, { namespace, name }, { signal })
  const [authority, tls] = await Promise.all([read(authoritySecretName(cluster)), read(tlsSecretName(cluster))])
  return readTrust(authority, tls)
}

const missing = (reason: Reason, message: string): CredentialsAnswer => ({ ok: false, problem: { reason, message } })

/** The token first, then the REST proxy's key; those of the sinks and of the API are only checked for being there. */
function references({ spec }: ShardCluster) {
  return [
    { field: 'spec.tokenSecretRef', ref: spec.tokenSecretRef },
    ...(spec.rest.authorizationSecretRef
      ? [{ field: 'spec.rest.authorizationSecretRef', ref: spec.rest.authorizationSecretRef }]
      : []),
    ...spec.events.flatMap((sink) =>
      sinkSecrets(sink).map(({ field, ref }) => ({ field: `${field} of the sink ${sink.name} in spec.events`, ref })),
    ),
    ...(spec.api ? [{ field: 'spec.api.authorizationSecretRef', ref: spec.api.authorizationSecretRef }] : []),
  ]
}
