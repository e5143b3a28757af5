import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { StoredObject } from '../../../operator/kube/objects.ts'
import { type Change, Store } from '../../../operator/kube/store.ts'

function pod(name: string, uid: string, version: string, owner?: string): StoredObject {
  const ownerReferences = owner
    ? [{ apiVersion: 'v1', kind: 'Owner', name: owner, uid: owner, controller: true }]
    : undefined
  const meta = { namespace: 'ns', name, uid, resourceVersion: version }
  return { metadata: ownerReferences ? { ...meta, ownerReferences } : meta }
}

const told = (changes: Change<StoredObject>[]) =>
  changes.map(({ type, object }) => `${type} ${object.metadata.name}/${object.metadata.uid}`)

describe('Store', () => {
  it('reports a deletion and an addition for an object that was created again between two lists', () => {
    const store = new Store()
    store.replace([pod('a', 'uid-1', '1'), pod('b', 'uid-2', '2')])
    expect(told(store.replace([pod('a', 'uid-3', '9'), pod('b', 'uid-2', '2')]))).toEqual([
      'deleted a/uid-1',
      'added a/uid-3',
    ])
  })

  it('reports nothing for what did not change, so that a relist is silent', () => {
    const store = new Store()
    const objects = [pod('a', 'uid-1', '1'), pod('b', 'uid-2', '2')]
    store.replace(objects)
    expect(store.replace([...objects])).toEqual([])
    expect(store.upsert(pod('a', 'uid-1', '1'))).toEqual([])
  })

  it('gives the state before an update', () => {
    const store = new Store()
    const before = pod('a', 'uid-1', '1')
    store.upsert(before)
    expect(store.upsert(pod('a', 'uid-1', '2'))).toEqual([
      { type: 'updated', object: pod('a', 'uid-1', '2'), previous: before },
    ])
  })

  it('does not let a late deletion of an older object remove its successor', () => {
    const store = new Store()
    store.upsert(pod('a', 'uid-2', '5'))
    expect(store.remove(pod('a', 'uid-1', '4'))).toEqual([])
    expect(store.get('ns/a')?.metadata.uid).toBe('uid-2')
  })

  it('follows an object to its new owner', () => {
    const store = new Store()
    store.replace([pod('a', 'uid-1', '1', 'owner-1'), pod('b', 'uid-2', '1', 'owner-1')])
    expect(store.childrenOf('owner-1').map(({ metadata }) => metadata.name)).toEqual(['a', 'b'])
    store.upsert(pod('a', 'uid-1', '2', 'owner-2'))
    expect(store.childrenOf('owner-1').map(({ metadata }) => metadata.name)).toEqual(['b'])
    expect(store.childrenOf('owner-2').map(({ metadata }) => metadata.name)).toEqual(['a'])
    store.replace([])
    expect(store.childrenOf('owner-1')).toEqual([])
    expect(store.childrenOf('owner-2')).toEqual([])
  })

  it('finds objects by what they are filed under, for as long as they are', () => {
    const store = new Store<StoredObject>(({ metadata }) => metadata.labels?.['team'])
    const of = (name: string, version: string, team?: string): StoredObject => {
      const { metadata } = pod(name, `uid-${name}`, version)
      return { metadata: team === undefined ? metadata : { ...metadata, labels: { team } } }
    }
    const found = (team: string) => store.indexed(team).map(({ metadata }) => metadata.name)
    store.replace([of('a', '1', 'red'), of('b', '1', 'red'), of('c', '1')])
    expect([found('red'), found('blue')]).toEqual([['a', 'b'], []])
    store.upsert(of('a', '2', 'blue'))
    expect([found('red'), found('blue')]).toEqual([['b'], ['a']])
    expect(store.indexed('blue')[0]?.metadata.resourceVersion).toBe('2')
    store.remove(of('a', '2', 'blue'))
    store.replace([of('b', '2')])
    expect([found('red'), found('blue')]).toEqual([[], []])
    expect(new Store().indexed('red')).toEqual([])
  })

  it('has changes that replayed give exactly the listed objects, whatever was there before', () => {
    const listing = fc.uniqueArray(
      fc.record({ name: fc.nat(6), uid: fc.nat(2), version: fc.nat(3), owner: fc.option(fc.nat(1)) }),
      { selector: ({ name }) => name, maxLength: 6 },
    )
    fc.assert(
      fc.property(fc.array(listing, { minLength: 1, maxLength: 5 }), (lists) => {
        const store = new Store()
        const replayed = new Map<string, string>()
        for (const list of lists) {
          const objects = list.map(({ name, uid, version, owner }) =>
            pod(`p${name}`, `${name}-${uid}`, `${version}`, owner === null ? undefined : `o${owner}`),
          )
          for (const change of store.replace(objects)) {
            const { name, uid, resourceVersion } = change.object.metadata
            if (change.type === 'added') expect(replayed.has(name)).toBe(false)
            if (change.type === 'updated') expect(replayed.get(name)).toMatch(`${uid}@`)
            if (change.type === 'deleted') {
              expect(replayed.get(name)).toBe(`${uid}@${resourceVersion}`)
              replayed.delete(name)
            } else replayed.set(name, `${uid}@${resourceVersion}`)
          }
          expect([...replayed].sort()).toEqual(
            store
              .list()
              .map(({ metadata }) => [metadata.name, `${metadata.uid}@${metadata.resourceVersion}`])
              .sort(),
          )
          expect(
            store
              .list()
              .map(({ metadata }) => metadata.name)
              .sort(),
          ).toEqual(objects.map(({ metadata }) => metadata.name).sort())
          for (const owner of ['o0', 'o1']) {
            const expected = store.list().filter(({ metadata }) => metadata.ownerReferences?.[0]?.uid === owner)
            expect(new Set(store.childrenOf(owner))).toEqual(new Set(expected))
          }
        }
      }),
    )
  })
})
