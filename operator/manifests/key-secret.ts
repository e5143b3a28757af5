import { randomBytes } from 'node:crypto'
import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import { secretValue } from '../kube/secret-value.ts'
import { childMeta, KEY_SECRET_KEY, keySecretName } from './names.ts'

/**
 * Another value has the key between operator and workers rotated:
 * `kubectl annotate shc/bot shardcluster.dev/rotate-key="$(date)" --overwrite`. The Secret says for which it was made.
 */
export const ROTATE_KEY_ANNOTATION = 'shardcluster.dev/rotate-key'
const PREVIOUS = `previous-${KEY_SECRET_KEY}`

/** The key between manager and workers. */
export interface SharderKey {
  readonly current: string
  /** What a worker wants until the kubelet has brought it the current one, which takes up to two minutes. */
  readonly previous?: string
  /** The value of the annotation that it was made for. */
  readonly madeFor?: string
}

const newSharderKey = (madeFor: string | undefined): SharderKey => ({
  current: randomBytes(24).toString('base64url'),
  ...(madeFor !== undefined && { madeFor }),
})

/** The key that there shall be: the one there is, or another where the ShardCluster asks for it. */
export function dueKey(known: SharderKey | undefined, { metadata }: ShardCluster, made = newSharderKey): SharderKey {
  const asked = metadata.annotations?.[ROTATE_KEY_ANNOTATION]
  if (!known) return made(asked)
  if (asked === undefined || asked === known.madeFor) return known
  return { ...made(asked), previous: known.current }
}

export function keySecret(cluster: ShardCluster, { current, previous, madeFor }: SharderKey) {
  return {
    metadata: {
      ...childMeta(cluster, keySecretName(cluster)),
      ...(madeFor !== undefined && { annotations: { [ROTATE_KEY_ANNOTATION]: madeFor } }),
    },
    type: 'Opaque',
    data: { [KEY_SECRET_KEY]: encoded(current), ...(previous !== undefined && { [PREVIOUS]: encoded(previous) }) },
  }
}

interface KeySecret {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> }
  readonly data?: Readonly<Record<string, string>>
}

/** undefined: there is none, or it is empty. */
export function readKeySecret(secret: KeySecret | undefined): SharderKey | undefined {
  const current = secretValue(secret, KEY_SECRET_KEY)
  if (current === '') return undefined
  const previous = secretValue(secret, PREVIOUS)
  const madeFor = secret?.metadata.annotations?.[ROTATE_KEY_ANNOTATION]
  return { current, ...(previous !== '' && { previous }), ...(madeFor !== undefined && { madeFor }) }
}

const encoded = (text: string): string => Buffer.from(text).toString('base64')
