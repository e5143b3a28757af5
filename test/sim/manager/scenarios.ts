import type { Random } from '../../support/random.ts'
import type { SimCluster } from './model/cluster.ts'
import type { World } from './model/world.ts'

/** Something that happens to a world. Faults that last end by themselves. */
export type Action = (world: World, random: Random) => void

const clusterOf = (world: World, random: Random): SimCluster => random.pick(world.clusters)
const podOf = (world: World, random: Random) => {
  const cluster = clusterOf(world, random)
  const pods = [...cluster.pods.values()]
  return pods.length > 0 ? { cluster, pod: random.pick(pods) } : undefined
}

export const scale: Action = (world, random) => {
  const cluster = clusterOf(world, random)
  cluster.change({ totalWorkers: random.int(1, 7) })
}

export const restartWorker: Action = (world, random) => {
  const found = podOf(world, random)
  if (found) found.cluster.restart(found.pod)
}

export const replacePod: Action = (world, random) => {
  const found = podOf(world, random)
  if (found) found.cluster.remove(found.pod, random.chance(0.5))
}

/**
 * A deposed leader that goes on can only be refused by workers that have heard of the new one. A Lease makes sure that
 * it noticed long before; here that the new one's word needs no seconds to arrive.
 */
export const newLeader: Action = (world, random) => {
  const end = random.pick(['stopped', 'crashed', 'deposed'] as const)
  const quick = world.clusters.every(({ pods }) => [...pods.values()].every(({ line }) => line.healthy))
  const pauseMs = end === 'crashed' || !quick ? random.int(4_000, 15_000) : random.int(20, 4_000)
  world.lead(end === 'deposed' && !quick ? 'crashed' : end, pauseMs)
}

/** An orderly or a sudden end. A process that was just started may not have heard of a new leader, and obeys a deposed one. */
export const successor: Action = (world, random) => {
  const end = random.pick(['stopped', 'crashed'] as const)
  world.lead(end, random.int(4_000, 15_000))
}

export const killThread: Action = (world, random) => podOf(world, random)?.pod.worker.killThread()

/** The bot takes nothing for a while: what was read waits, and is not confirmed. */
export const slowSink: Action = (world, random) =>
  podOf(world, random)?.pod.worker.stallSink(random.pick([500, 5_000, 40_000]))

/** Every pod and the operator end in good order, in any order, and are back in half a minute. */
export const blackout: Action = (world, random) => {
  const pods = () => {
    for (const cluster of world.clusters) for (const pod of [...cluster.pods.values()]) cluster.remove(pod, true)
  }
  if (random.chance(0.5)) pods()
  else world.clock.after(random.int(1, 5_000), pods)
  world.lead('stopped', random.int(5_000, 35_000))
}

export const breakStreams: Action = (world, random) => podOf(world, random)?.pod.worker.breakStreams()

export const hangWorker: Action = (world, random) => {
  const line = podOf(world, random)?.pod.line
  line?.hang()
  world.clock.after(random.int(1_000, 120_000), () => line?.wakeUp())
}

export const slowWorker: Action = (world, random) => {
  const line = podOf(world, random)?.pod.line
  if (!line) return
  line.latencyMs = random.int(100, 3_000)
  world.clock.after(random.int(5_000, 60_000), () => {
    line.latencyMs = 10
  })
}

export const nonsense: Action = (world, random) => {
  const line = podOf(world, random)?.pod.line
  if (!line) return
  const kind = random.pick(['lostAnswers', 'refused'] as const)
  line[kind] = random.pick([0.3, 1])
  world.clock.after(random.int(2_000, 60_000), () => {
    line[kind] = 0
  })
}

export const unschedulable: Action = (world, random) => {
  const cluster = clusterOf(world, random)
  const ordinal = random.int(0, 6)
  cluster.unschedulable.add(ordinal)
  world.clock.after(random.int(5_000, 120_000), () => {
    cluster.unschedulable.delete(ordinal)
    cluster.reconcile()
  })
}

export const gatewayFaults: Action = (world, random) => {
  const { faults } = world.discord
  const cluster = clusterOf(world, random)
  faults.invalidSession = random.pick([0, 0.1, 0.5])
  faults.silence = random.pick([0, 0.1])
  cluster.faults.connectFails = random.pick([0, 0.2, 1])
  world.clock.after(random.int(5_000, 60_000), () => {
    faults.invalidSession = 0
    faults.silence = 0
    cluster.faults.connectFails = 0
  })
}

export const disconnects: Action = (world, random) =>
  world.discord.disconnect(random.pick([0.05, 0.5, 1]), random.chance(0.4))

/** Sessions survive. */
export const reconnects: Action = (world, random) => world.discord.disconnect(random.pick([0.05, 0.5, 1]), false)

export const restOutage: Action = (world, random) => {
  world.restProblem = random.chance(0.5)
    ? { reason: 'RestProxyUnavailable', message: 'The REST proxy does not answer.' }
    : { reason: 'RestProxyRateLimited', message: 'Rate limited (429).', retryAfterMs: random.int(1_000, 60_000) }
  world.clock.after(random.int(5_000, 120_000), () => {
    world.restProblem = undefined
  })
}

/** Discord changes max_concurrency. Until the manager can know, IDENTIFYs that collide are nobody's fault. */
export const changeConcurrency: Action = (world, random) => {
  const { discord, clock } = world
  const before = discord.rules.maxConcurrency
  const after = random.pick([1, 2, 3, 16])
  discord.rules.setMaxConcurrency(after)
  discord.trace(`max_concurrency ${before} -> ${after}`)
  if (after % before !== 0) discord.excusedUntil = Number.POSITIVE_INFINITY
  const untilKnown = () => {
    if (discord.rules.maxConcurrency !== after) return
    if (world.lane.maxConcurrency !== after) return void clock.after(100, untilKnown)
    discord.trace(`the lane knows that max_concurrency is ${after}`)
    discord.excusedUntil = clock.now()
  }
  untilKnown()
}

/** The user corrects what Discord refused. */
export const remedy: Action = (world, random) => {
  world.discord.faults.fatalCode = undefined
  for (const cluster of world.clusters) cluster.change({ remedy: `remedy-${random.int(0, 1_000_000)}` })
}

/** All that ends well without any IDENTIFY being lost. */
export const HARMLESS: readonly Action[] = [scale, scale, newLeader, breakStreams, reconnects, unschedulable]
export const EVERYTHING: readonly Action[] = [
  ...[scale, scale, breakStreams, reconnects, unschedulable, successor, killThread, slowSink],
  restartWorker,
  replacePod,
  hangWorker,
  slowWorker,
  nonsense,
  gatewayFaults,
  disconnects,
  restOutage,
  changeConcurrency,
]
