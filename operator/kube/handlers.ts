import { controllerOf, keyOf, objectKey, type StoredObject } from './objects.ts'
import type { ChangeHandler } from './reflector.ts'
import type { Resource } from './resources.ts'
import type { Change } from './store.ts'
import type { WorkQueue } from './workqueue.ts'

/** Whether a change deserves a reconcile. Predicates only save work: a reconcile must be right without them. */
export type Predicate<T> = (change: Change<T>) => boolean

/** Additions, deletions, and updates for which one of `aspects` differs (compared as JSON). */
export function changed<T>(...aspects: readonly ((object: T) => unknown)[]): Predicate<T> {
  return (change) => {
    if (change.type !== 'updated') return true
    const { object, previous } = change
    return aspects.some((aspect) => JSON.stringify(aspect(object)) !== JSON.stringify(aspect(previous)))
  }
}

/** controller-runtime's GenerationChangedPredicate: the spec changed, or deletion began; status writes do not count. */
export const generationChanged = <T extends StoredObject>(change: Change<T>): boolean =>
  changed<T>(
    ({ metadata }) => metadata.generation,
    ({ metadata }) => metadata.deletionTimestamp !== undefined,
  )(change)

/** `For`: the object itself is reconciled. */
export function enqueueObject<T extends StoredObject>(
  queue: WorkQueue,
  predicate: Predicate<T> = () => true,
): ChangeHandler<T> {
  return (change) => {
    if (predicate(change)) queue.add(keyOf(change.object))
  }
}

/**
 * `Owns`: the controller of the object is reconciled. An update that moved the object to another owner concerns both:
 * the one that lost it has to notice too.
 */
export function enqueueOwner<T extends StoredObject>(
  queue: WorkQueue,
  owner: Resource,
  predicate: Predicate<T> = () => true,
): ChangeHandler<T> {
  return (change) => {
    if (!predicate(change)) return
    const states = change.type === 'updated' ? [change.previous, change.object] : [change.object]
    for (const state of states) {
      const reference = controllerOf(state)
      if (reference?.kind !== owner.kind || groupOf(reference.apiVersion) !== owner.group) continue
      queue.add(objectKey(owner.namespaced ? state.metadata.namespace : undefined, reference.name))
    }
  }
}

/** The version may differ between what the owner was when it was referred to and what is served now. */
function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/')
  return slash < 0 ? '' : apiVersion.slice(0, slash)
}
