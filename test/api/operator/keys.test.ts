import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { secrets } from '../../../operator/kube/resources.ts'
import { ROTATE_KEY_ANNOTATION, readKeySecret } from '../../../operator/manifests/key-secret.ts'
import type { SecretObject } from '../../../operator/reconcile/objects.ts'
import { type Bot, eventually, type Operator, type OperatorWorld, startOperatorWorld, startReadyBot } from './world.ts'

let world: OperatorWorld
let operator: Operator
let bot: Bot
beforeAll(async () => {
  world = await startOperatorWorld()
  ;({ operator, bot } = await startReadyBot(world))
})
afterAll(() => world?.close())

const seen = new Set(['chosen-by-hand'])
const key = async () => {
  const stored = readKeySecret(await bot.child<SecretObject>(secrets, 'bot-sharder-key'))
  if (!stored) throw new Error('there is no key')
  seen.add(stored.current)
  return stored
}
/** The keys in the volumes of the pods that run. */
const keyOfPods = () => [...new Set([...world.kubelet.files(bot.namespace)].map((files) => files.get('authorization')))]
const shardsOn = (...held: number[][]) => eventually(async () => expect(await bot.held()).toEqual(held))
const undisturbed = { identifies: 8, connectedShards: 8, resumesRefused: 0, violationDetails: [] }

describe('the key between operator and workers', () => {
  it('is rotated when the annotation says so, while volumes still have the old one, and no shard notices', async () => {
    const before = await key()
    const { resumes } = bot.discord()
    world.kubelet.volumesLag = true
    await bot.kubectl('annotate', 'shc/bot', `${ROTATE_KEY_ANNOTATION}=monday`)
    const after = await eventually(async () => {
      const stored = await key()
      expect(stored).toMatchObject({ previous: before.current, madeFor: 'monday' })
      return stored
    })
    await eventually(async () => expect((await bot.events()).map(({ reason }) => reason)).toContain('KeyRotated'))
    expect(keyOfPods()).toEqual([before.current])
    expect(bot.discord()).toMatchObject({ ...undisturbed, resumes })
    // The new pod is started with the new key, those there are have the old one: shards go from one to the other.
    await bot.kubectl('scale', 'shc/bot', '--replicas=3')
    await shardsOn([0, 1], [2, 3, 4], [5, 6, 7])
    expect(keyOfPods().sort()).toEqual([before.current, after.current].sort())
  })

  it('is found by another leader that comes while volumes still have the old one', async () => {
    await operator.stop()
    operator = await world.operator()
    await eventually(() =>
      expect([...world.kubelet.workers.values()].map(({ watchers }) => watchers)).toEqual([1, 1, 1]),
    )
    world.kubelet.volumesLag = false
    const { current } = await key()
    await eventually(() => expect(keyOfPods()).toEqual([current]))
    await bot.kubectl('scale', 'shc/bot', '--replicas=2')
    await shardsOn([0, 1, 2, 3], [4, 5, 6, 7])
    await bot.wait('Progressing', 'False')
    expect(bot.discord()).toMatchObject(undisturbed)
  })

  it('may be changed by hand: the operator reads it again when a worker wants another', async () => {
    const byHand = 'chosen-by-hand'
    const patch = JSON.stringify({ stringData: { authorization: byHand } })
    await bot.kubectl('patch', 'secret/bot-sharder-key', '-p', patch)
    await eventually(() => expect(keyOfPods()).toEqual([byHand]))
    const { resumes } = bot.discord()
    const startAgain = await world.kubelet.kill(`${bot.namespace}/bot-8-1`)
    startAgain()
    await eventually(() => expect(bot.discord()).toMatchObject({ ...undisturbed, resumes: resumes + 4 }))
    await bot.wait('Ready')
    expect((await key()).current).toBe(byHand)
  })

  it('is in no status, event, StatefulSet or pod', async () => {
    const said = await bot.kubectl('get', 'shardclusters,events,statefulsets,pods', '-o', 'yaml')
    expect(said).toContain('bot-8-1')
    expect(seen.size).toBe(3)
    for (const secret of seen) expect(said).not.toContain(secret)
  })
})
