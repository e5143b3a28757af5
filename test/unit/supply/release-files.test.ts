import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  byDigest,
  checksums,
  oneVersion,
  productionOnly,
  ReleaseRefused,
  signaturesOf,
} from '../../../scripts/release-files.ts'

const DIGEST = `sha256:${'0a'.repeat(32)}`

describe('checksums', () => {
  test('are what sha256sum checks, and it finds what was changed', () => {
    const folder = mkdtempSync(join(tmpdir(), 'checksums-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    for (const name of ['b.yaml', 'a.tgz']) writeFileSync(join(folder, name), name)
    const sums = checksums(folder, ['b.yaml', 'a.tgz'])
    expect(sums).toMatch(/^[0-9a-f]{64} {2}a\.tgz\n[0-9a-f]{64} {2}b\.yaml\n$/)
    const check = () =>
      execFileSync('sha256sum', ['--check', '--strict', '-'], { cwd: folder, input: sums, stdio: 'pipe' })
    expect(check().toString()).toBe('a.tgz: OK\nb.yaml: OK\n')
    writeFileSync(join(folder, 'b.yaml'), 'changed')
    expect(check).toThrow()
  })
})

describe('an image', () => {
  test('counts by its digest alone', () => {
    for (const reference of [`node:24-trixie-slim@${DIGEST}`, `host:5000/a/b@${DIGEST}`])
      expect(byDigest(reference, 'image')).toBe(reference)
    for (const reference of [
      '',
      'node:24',
      `node@sha256:${'0'.repeat(63)}`,
      `@${DIGEST}`,
      `node@${DIGEST}\nx`,
      `a b@${DIGEST}`,
    ])
      expect(() => byDigest(reference, 'image'), reference).toThrow(ReleaseRefused)
  })
})

describe('the versions', () => {
  const one = { package: '1.2.3', chart: '1.2.3', app: '1.2.3', tag: 'v1.2.3' }
  test('are one, with a tag or without', () => {
    expect(oneVersion(one)).toBe('1.2.3')
    expect(oneVersion({ ...one, tag: undefined })).toBe('1.2.3')
  })

  test.each(['chart', 'app', 'tag'] as const)('are refused when %s says another', (part) => {
    expect(() => oneVersion({ ...one, [part]: '1.2.4' })).toThrow(/version 1\.2\.3, .* 1\.2\.4: make them one/)
  })
})

describe('production', () => {
  test('is what is not for development or optional, and all of that', () => {
    const manifest = { name: 'shardcluster', dependencies: { a: '1' }, devDependencies: { b: '1' } }
    const root = { ...manifest, optionalDependencies: { c: '1' } }
    const entries = {
      'node_modules/a': { version: '1' },
      'node_modules/a/node_modules/d': { version: '2', peer: true },
      'node_modules/b': { version: '1', dev: true },
      'node_modules/c': { version: '1', optional: true },
      'node_modules/d': { version: '1', devOptional: true },
    }
    const bare = { devDependencies: {}, optionalDependencies: {} }
    expect(productionOnly(manifest, { lockfileVersion: 3, packages: { '': root, ...entries } })).toEqual({
      manifest: { ...manifest, ...bare },
      lock: {
        lockfileVersion: 3,
        packages: {
          '': { ...manifest, ...bare },
          'node_modules/a': { version: '1' },
          'node_modules/a/node_modules/d': { version: '2', peer: true },
        },
      },
    })
  })
})

describe('what a registry says of its signatures', () => {
  const of = (invalid: string[], missing: string[]) => {
    const list = (names: string[]) => names.map((name) => ({ name, version: '1.0.0', location: 'x' }))
    return JSON.stringify({ invalid: list(invalid), missing: list(missing) })
  }

  test('is that all are signed, or which are not', () => {
    expect(signaturesOf(0, of([], []))).toEqual({ kind: 'Signed' })
    expect(signaturesOf(1, of(['a'], ['b']))).toEqual({ kind: 'NotSigned', packages: ['a@1.0.0', 'b@1.0.0'] })
    // Whatever the exit code says.
    expect(signaturesOf(0, of(['a'], []))).toEqual({ kind: 'NotSigned', packages: ['a@1.0.0'] })
  })

  test.each([
    [1, '{"error":{"code":"ENOTFOUND","summary":"x"}}', 'ENOTFOUND'],
    [1, '{"error":{"summary":"x"}}', 'exit code 1'],
    [1, of([], []), 'exit code 1'],
    [0, '', 'exit code 0'],
    [0, '{}', 'exit code 0'],
    [0, 'all is well', 'exit code 0'],
  ])('is nothing when it did not answer: %s %s', (code, output, reason) => {
    expect(signaturesOf(code, output)).toEqual({ kind: 'NotAnswered', reason })
  })
})
