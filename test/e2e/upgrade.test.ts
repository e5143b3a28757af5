import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { ShardClusterManifest } from '../../src/api/shard-cluster.ts'
import { openCluster } from '../support/cluster/cluster.ts'
import { disclosures } from './disclosures.ts'
import { SessionSteps } from './session-steps.ts'
import { manifest, SessionsTrial } from './sessions-trial.ts'
import { OperatorRelease, type Release, Releases } from './upgrade-trial.ts'

/** From the release before to this one and back, while shards run: no pod restarts, and no event is lost. */
const cluster = openCluster(inject('cluster'))
const releases = new Releases(cluster, inject('image'))
const NAMESPACE = 'upgrade-test'
const PLACE = { namespace: NAMESPACE, fullname: 'discord' }
const trial = new SessionsTrial(cluster, inject('image'), PLACE)
const operator = new OperatorRelease(cluster, { namespace: NAMESPACE, fullname: 'operator' })
const steps = new SessionSteps(trial)

let previous: Release
let present: Release

const deleteCrd = () =>
  cluster.kubectl(['delete', 'crd/shardclusters.shardcluster.dev', '--ignore-not-found'], { timeoutMs: 120_000 })

beforeAll(async () => {
  ;({ previous, present } = await releases.unpack())
  // The chart's own CRD is upgraded too. Whoever comes next applies it again.
  await deleteCrd()
  await trial.prepare()
  await operator.helm(previous)
  // The release before knows no gateway.hosts.
  await trial.install({ replicas: 0, change: withoutHosts })
}, 900_000)

afterAll(async () => {
  steps.print()
  await operator.helmUninstall()
  await trial.remove()
  await deleteCrd()
  await releases.remove()
}, 400_000)

/** Which pods there are, and how often each was restarted. */
const lives = async () =>
  (await trial.pods())
    .map(({ metadata, status }) => `${metadata.uid} ${status.containerStatuses?.[0]?.restartCount}`)
    .sort()

/** The simulated Discord is none of Discord's hosts: whoever has another gateway names it with the upgrade. */
const nameGateway = () => trial.patch({ gateway: { hosts: manifest(PLACE).spec.gateway.hosts } })

function withoutHosts(cluster: ShardClusterManifest): ShardClusterManifest {
  const { hosts: _, ...gateway } = cluster.spec.gateway
  return { ...cluster, spec: { ...cluster.spec, gateway } }
}

const images = async () => new Set((await trial.pods()).map(({ spec }) => spec.containers[0]?.image))

/** A change of the operator that the workers and their shards do not notice. */
async function unnoticed(name: string, change: () => Promise<void>): Promise<void> {
  const before = await lives()
  const leader = await trial.leader()
  await steps.step(
    name,
    async () => {
      await change()
      // The new one leads, has heard the workers, and finds nothing to do.
      const another = async () => ![undefined, leader].includes(await trial.leader())
      await expect.poll(another, { timeout: 120_000, interval: 500 }).toBe(true)
      await trial.settled(before.length)
    },
    { resumes: 'none' },
  )
  expect(await lives()).toEqual(before)
}

it('the release before starts every shard', async () => {
  await trial.settled(3)
  expect(await images()).toEqual(new Set([previous.image]))
})

describe('by Helm', () => {
  it('up: no pod restarts', () =>
    unnoticed('helm upgrade to this one', async () => {
      await operator.helm(present)
      await nameGateway()
    }))

  it("this one's operator scales workers of the release before", async () => {
    await steps.step('scale 3 -> 4 -> 2, older workers', async () => {
      await trial.scale(4)
      await trial.settled(4)
      await trial.scale(2)
      await trial.settled(2)
    })
    expect(await images()).toEqual(new Set([previous.image]))
  })

  it('renews the older workers when it is told to', async () => {
    await steps.step('workers of this one', async () => {
      await trial.patch({ worker: { upgrade: 'WithOperator' } })
      await expect.poll(images, { timeout: 120_000, interval: 500 }).toEqual(new Set([present.image]))
      await trial.settled(2)
    })
    await trial.patch({ worker: { upgrade: 'OnChange' } })
    await trial.settled(2)
  })

  it('back: no pod restarts', () => unnoticed('helm upgrade back', () => operator.helm(previous)))

  it("the operator of the release before scales this one's workers", async () => {
    await steps.step('scale 2 -> 3, newer workers', async () => {
      await trial.scale(3)
      await trial.settled(3)
    })
    expect(await images()).toEqual(new Set([present.image]))
  })

  it('puts the older workers back when it is told to', async () => {
    await steps.step('workers of the release before', async () => {
      await trial.patch({ worker: { upgrade: 'WithOperator' } })
      await expect.poll(images, { timeout: 120_000, interval: 500 }).toEqual(new Set([previous.image]))
      await trial.settled(3)
    })
    await trial.patch({ worker: { upgrade: 'OnChange' } })
    await trial.settled(3)
  })
})

describe('by static manifest', () => {
  it('from Helm to it, with no operator in between', () =>
    unnoticed('uninstalled, and applied as a manifest', async () => {
      await operator.helmUninstall()
      await operator.apply(previous)
    }))

  it('up: no pod restarts', () =>
    unnoticed('kubectl apply of this one', async () => {
      await operator.apply(present)
      await nameGateway()
    }))

  it('back: no pod restarts', () => unnoticed('kubectl apply back', () => operator.apply(previous)))

  afterAll(() => operator.deleteApplied(previous), 200_000)
})

it('has shown no token and no key to anybody', async () => {
  expect(await disclosures(cluster, NAMESPACE, trial.nodes)).toEqual([])
})
