import { pino } from 'pino'
import { Controller, done } from '../../../../operator/kube/controller.ts'
import { enqueueObject } from '../../../../operator/kube/handlers.ts'
import type { KubeMetrics } from '../../../../operator/kube/metrics.ts'
import type { StoredObject } from '../../../../operator/kube/objects.ts'
import type { Reflector } from '../../../../operator/kube/reflector.ts'
import { WorkQueue } from '../../../../operator/kube/workqueue.ts'
import { systemClock } from '../../../../src/support/clock.ts'
import type { Random } from '../../../support/random.ts'
import { type Versions, versionOf } from './witness.ts'

/** Shares of the handlers' calls and the reconciles that throw. */
const HANDLERS = 0.2
const RECONCILES = 0.2

/** A controller whose code throws now and then; `reconciled` is what it saw when it last did not. */
export function clumsyController(reflector: Reflector<StoredObject>, metrics: KubeMetrics, random: Random) {
  const queue = new WorkQueue({ name: 'clumsy', clock: systemClock, metrics })
  const reconciled: Versions = new Map()
  const thrown = { reconciles: 0, handlers: 0 }
  reflector.subscribe(enqueueObject(queue))
  reflector.subscribe(() => {
    if (!random.chance(HANDLERS)) return
    thrown.handlers += 1
    throw new Error('a handler that throws')
  })
  const controller = new Controller({
    ...{ name: 'clumsy', queue, workers: 2, clock: systemClock, metrics },
    logger: pino({ level: 'silent' }),
    reconcile: async (key) => {
      if (random.chance(RECONCILES)) {
        thrown.reconciles += 1
        throw new Error('a reconcile that throws')
      }
      const object = reflector.store.get(key)
      if (object) reconciled.set(key, versionOf(object))
      else reconciled.delete(key)
      return done
    },
  })
  return { controller, reconciled, thrown }
}
