import { describe, expect, it } from 'vitest'
import { podTemplate, servesTls } from '../../../operator/manifests/pod.ts'
import { statefulSet } from '../../../operator/manifests/stateful-set.ts'
import { keptTemplate, recordTemplate, TEMPLATE_ANNOTATION } from '../../../operator/manifests/template-record.ts'
import { cluster } from './world.ts'

const older = { image: 'shardcluster:1.0', imagePullPolicy: 'IfNotPresent' }
const newer = { image: 'shardcluster:2.0', imagePullPolicy: 'Always' }

/** What the older operator applied for it. */
const byOlder = (spec = {}) => statefulSet(cluster(spec), 8, 2, older)
const recordOf = (set: ReturnType<typeof statefulSet>) => set.metadata.annotations[TEMPLATE_ANNOTATION]
/** What the newer one applies, where it finds that. */
const byNewer = (spec = {}, found = recordOf(byOlder()), replicas = 2) =>
  statefulSet(cluster(spec), 8, replicas, newer, found)
const imageOf = (set: ReturnType<typeof statefulSet>) => set.spec.template.spec.containers[0]?.image

describe('a newer operator', () => {
  it('applies the very manifest that the older one did', () => {
    expect(byNewer()).toEqual(byOlder())
    expect(byNewer({}, recordOf(byNewer()))).toEqual(byOlder())
  })

  it('keeps the pods while workers are scaled or anything else changes that they are not made of', () => {
    const change = { totalWorkers: 5, gateway: { intents: ['GuildMembers'] }, identify: { reserve: 7 } }
    expect(byNewer(change, recordOf(byOlder()), 5).spec.template).toEqual(byOlder().spec.template)
  })

  it.each([
    ['worker', { worker: { threads: 2 } }],
    ['events', { events: [{ name: 'bot', http: { url: 'http://elsewhere/' } }] }],
    ['tokenSecretRef', { tokenSecretRef: { name: 'another' } }],
  ])('makes its own template with the next change of spec.%s, and keeps that one', (_, change) => {
    const changed = byNewer(change)
    expect(imageOf(changed)).toBe(newer.image)
    expect(recordOf(changed)).not.toBe(recordOf(byOlder()))
    expect(statefulSet(cluster(change), 8, 2, older, recordOf(changed))).toEqual(changed)
  })

  it('takes over at once where that is wanted, and is kept when it is wanted no longer', () => {
    const now = byNewer({ worker: { upgrade: 'WithOperator' } })
    expect(imageOf(now)).toBe(newer.image)
    expect(statefulSet(cluster(), 8, 2, older, recordOf(now))).toEqual(now)
  })

  it('keeps pods of a release that served no TLS, and goes on speaking plain HTTP to them', () => {
    // What that release recorded of the same spec.
    const { asked } = JSON.parse(recordOf(byOlder()))
    const { template } = byOlder({ worker: { tls: false } }).spec
    const found = JSON.stringify({ asked, template })
    const kept = byNewer({}, found)
    expect(kept.spec.template).toEqual(template)
    expect(recordOf(kept)).toBe(found)
    expect(servesTls(kept.spec.template, cluster())).toBe(false)
    expect(servesTls(byNewer({ worker: { threads: 2 } }, found).spec.template, cluster())).toBe(true)
  })

  it('keeps an image that was asked for', () => {
    const own = { worker: { image: 'mine:1' } }
    expect(byNewer(own, recordOf(byOlder(own)))).toEqual(byOlder(own))
    expect(imageOf(byNewer({ worker: { image: 'mine:2' } }, recordOf(byOlder(own))))).toBe('mine:2')
  })
})

describe('the record', () => {
  it('holds no field that is only a default: one that a later version adds is no change', () => {
    const { asked } = JSON.parse(recordTemplate(cluster({ worker: { threads: 2 } }), byOlder().spec.template))
    expect(asked).toEqual({
      tokenSecretRef: { name: 'bot' },
      events: [{ name: 'bot', http: { url: 'http://bot:8080/', authorizationSecretRef: { name: 'bot' } } }],
      worker: { threads: 2 },
    })
  })

  it.each(['', 'nonsense', '{}', '{"asked":{},"template":{}}'])('%j: the template is made anew', (found) => {
    expect(imageOf(byNewer({}, found))).toBe(newer.image)
  })
})

describe('gateway.hosts', () => {
  const simulated = { intents: ['Guilds'], hosts: ['ws://simulator'] }
  const recordOf = (one: ReturnType<typeof cluster>) =>
    recordTemplate(one, podTemplate(one, { image: 'shardcluster:1', imagePullPolicy: undefined }, {}))

  it('another one is another template: the pods are told by their environment', () => {
    const recorded = recordOf(cluster())
    expect(keptTemplate(cluster(), recorded)).toBeDefined()
    expect(keptTemplate(cluster({ gateway: simulated }), recorded)).toBeUndefined()
  })

  it('is no change for pods of an operator that knew none: an upgrade restarts no worker', () => {
    const { gateway, ...before } = JSON.parse(recordOf(cluster()))
    expect(gateway).toEqual({})
    const recorded = JSON.stringify(before)
    expect(keptTemplate(cluster({ gateway: simulated }), recorded)).toEqual(before.template)
  })
})

it('an operator of the release before reads the record: it takes nothing in `asked` that it does not know', () => {
  const one = cluster({ gateway: { intents: ['Guilds'], hosts: ['ws://simulator'] } })
  const { asked } = JSON.parse(recordTemplate(one, podTemplate(one, { image: 'x', imagePullPolicy: undefined }, {})))
  expect(['events', 'tokenSecretRef', 'worker']).toEqual(expect.arrayContaining(Object.keys(asked)))
})
