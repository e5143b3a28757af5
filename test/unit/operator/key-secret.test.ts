import { describe, expect, test } from 'vitest'
import { dueKey, keySecret, ROTATE_KEY_ANNOTATION, readKeySecret } from '../../../operator/manifests/key-secret.ts'
import type { ShardCluster } from '../../../src/api/shard-cluster.ts'
import { cluster } from './world.ts'

const asking = (value: string): ShardCluster => {
  const one = cluster()
  return { ...one, metadata: { ...one.metadata, annotations: { [ROTATE_KEY_ANNOTATION]: value } } }
}
const known = { current: 'known' }

describe('the key that there shall be', () => {
  test('is made where there is none, another each time, long enough', () => {
    const made = [dueKey(undefined, cluster()), dueKey(undefined, cluster())]
    expect(made[0]?.current).not.toBe(made[1]?.current)
    for (const { current } of made) expect(Buffer.from(current, 'base64url')).toHaveLength(24)
  })

  test('is the one there is, if nobody asks for another', () => {
    expect(dueKey(known, cluster())).toBe(known)
    const rotated = dueKey(known, asking('monday'))
    expect(dueKey(rotated, asking('monday'))).toBe(rotated)
    // The annotation was taken away: nothing to do.
    expect(dueKey(rotated, cluster())).toBe(rotated)
  })

  test('is another for another value of the annotation, once, and the one before stays known', () => {
    const monday = dueKey(known, asking('monday'))
    expect(monday).toMatchObject({ previous: 'known', madeFor: 'monday' })
    const friday = dueKey(monday, asking('friday'))
    expect(friday).toMatchObject({ previous: monday.current, madeFor: 'friday' })
    expect(new Set(['known', monday.current, friday.current]).size).toBe(3)
  })
})

describe('its Secret', () => {
  test.each([known, { current: 'b', previous: 'a', madeFor: 'monday' }])('gives back what was written: %o', (key) => {
    expect(readKeySecret(keySecret(cluster(), key))).toEqual(key)
  })

  test('without a key is no key', () => {
    expect(readKeySecret(undefined)).toBeUndefined()
    expect(readKeySecret({ metadata: {} })).toBeUndefined()
    expect(readKeySecret({ metadata: {}, data: { authorization: btoa(' \n') } })).toBeUndefined()
  })
})
