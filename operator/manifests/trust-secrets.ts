import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { WORKER_TLS } from '../../src/limits.ts'
import { secretValue } from '../kube/secret-value.ts'
import { authoritiesOf, type Identity, isAuthority, isSound, type WorkerTrust } from '../trust/due.ts'
import type { StoredTrust } from '../trust/due-trust.ts'
import { authoritySecretName, childMeta, TLS_SECRET_KEYS, tlsSecretName } from './names.ts'

interface SecretData {
  readonly data?: Readonly<Record<string, string>>
}

const AUTHORITY = { certificate: 'ca.crt', privateKey: 'ca.key', retired: 'retired-ca.crt' }

/** Of the operator alone: no pod mounts it. */
export function authoritySecret(cluster: ShardCluster, { authority }: WorkerTrust) {
  const { certificate, privateKey, retired } = authority
  return {
    metadata: childMeta(cluster, authoritySecretName(cluster)),
    type: 'Opaque',
    data: {
      [AUTHORITY.certificate]: encoded(certificate),
      [AUTHORITY.privateKey]: encoded(privateKey),
      ...(retired.length > 0 && { [AUTHORITY.retired]: encoded(retired.join('')) }),
    },
  }
}

/** What workers serve TLS with. `ca.crt` says whom to trust, as in every Secret of this type. */
export function tlsSecret(cluster: ShardCluster, { authority, serving }: WorkerTrust) {
  return {
    metadata: childMeta(cluster, tlsSecretName(cluster)),
    type: 'kubernetes.io/tls',
    data: {
      [TLS_SECRET_KEYS.certificate]: encoded(serving.certificate),
      [TLS_SECRET_KEYS.privateKey]: encoded(serving.privateKey),
      'ca.crt': encoded(authoritiesOf(authority).join('')),
    },
  }
}

/** Takes nothing from them that the operator would not have made. */
export function readTrust(authority: SecretData | undefined, tls: SecretData | undefined): StoredTrust {
  const known = identityIn(authority, AUTHORITY, 'authority')
  return {
    authority: known && { ...known, retired: authoritiesIn(authority, AUTHORITY.retired) },
    serving: identityIn(tls, TLS_SECRET_KEYS, 'serving'),
    anchors: authoritiesIn(tls, 'ca.crt'),
  }
}

function identityIn(
  secret: SecretData | undefined,
  keys: { readonly certificate: string; readonly privateKey: string },
  kind: 'authority' | 'serving',
): Identity | undefined {
  const [certificate, privateKey] = [pemIn(secret, keys.certificate), pemIn(secret, keys.privateKey)]
  const identity = { certificate, privateKey }
  return isSound(identity, kind) ? identity : undefined
}

const END = '-----END CERTIFICATE-----'

function authoritiesIn(secret: SecretData | undefined, key: string): string[] {
  const parts = pemIn(secret, key, WORKER_TLS.authorities).split(END, WORKER_TLS.authorities)
  return parts.map((part) => `${part.trim()}\n${END}\n`).filter(isAuthority)
}

/** '': there is none, or more than can be one. */
function pemIn(secret: SecretData | undefined, key: string, pieces = 1): string {
  const encodedText = secret?.data?.[key] ?? ''
  // Base64: four characters for three bytes.
  if (encodedText.length > (pieces * WORKER_TLS.pemBytes * 4) / 3) return ''
  const text = secretValue(secret, key)
  return text === '' ? '' : `${text}\n`
}

const encoded = (text: string): string => Buffer.from(text).toString('base64')
