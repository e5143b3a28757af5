import type { ShardCluster } from '../../src/api/shard-cluster.ts'
import type { Logger } from '../../src/support/logger.ts'
import type { ObjectClient } from '../kube/apply.ts'
import { ForbiddenError, InvalidError } from '../kube/errors.ts'
import type { Applied } from './applied.ts'
import type { Plan } from './decide.ts'
import type { Observed } from './observed.ts'
import { notOurs, strangerOf } from './ownership.ts'

export interface ApplyContext {
  readonly cluster: ShardCluster
  readonly client: ObjectClient
  readonly applied: Applied
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** Characters of a refusal in a condition: the API server may quote a whole pod template. */
const LONGEST_REFUSAL = 1_000

/**
 * Makes one child what it shall be. @returns `same`: it is already; or why it cannot be, in words for the user.
 * Throws what may pass by itself.
 */
export async function applyChild(
  { resource, manifest }: Plan['apply'][number],
  { cluster, client, applied, signal, logger }: ApplyContext,
): Promise<'applied' | 'same' | NonNullable<Observed['refused']>> {
  const { kind } = resource
  const { name } = manifest.metadata
  if (!applied.differs(kind, manifest)) return 'same'
  if (!applied.knows(kind, name)) {
    const there = await client.get(resource, { namespace: cluster.metadata.namespace, name }, { signal })
    const stranger = there && strangerOf(there, cluster)
    if (stranger !== undefined) return { reason: 'ApplyFailed', message: notOurs(kind, name, stranger) }
  }
  // Before it is sent: what somebody does to it while the answer is on its way must make it forgotten again.
  applied.remember(kind, manifest)
  try {
    await client.apply(resource, manifest, { signal })
  } catch (error) {
    applied.forget(kind, name)
    if (!(error instanceof InvalidError || error instanceof ForbiddenError)) throw error
    logger.warn({ err: error }, 'the API server refuses a child')
    const why = error.message.slice(0, LONGEST_REFUSAL)
    return { reason: 'ApplyFailed', message: `The API server refuses a child: ${why}` }
  }
  logger.info({ kind, object: name }, 'applied')
  return 'applied'
}
