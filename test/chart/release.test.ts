import { execFile, execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { helm } from './helm.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
const DIGEST = `sha256:${'0a'.repeat(32)}`
/** Nobody listens there: no registry answers, wherever this runs. */
const NOWHERE = 'http://127.0.0.1:9'
const ALONE = { npm_config_registry: NOWHERE, https_proxy: NOWHERE, http_proxy: NOWHERE, no_proxy: '' }

let root: string
let into: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'release-'))
  into = join(root, 'dist')
})
afterEach(() => rmSync(root, { recursive: true }))

/** Runs the release script. What it said, on both ends, and its exit code. */
function release(args: readonly string[] = [], environment: Readonly<Record<string, string>> = {}) {
  const options = { cwd: ROOT, env: { ...process.env, ...ALONE, ...environment } }
  return new Promise<{ code: unknown; said: string }>((resolve) => {
    execFile(process.execPath, ['scripts/release.ts', '--into', into, ...args], options, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, said: stdout + stderr }),
    )
  })
}

/** An npm that says what the registry would, and is npm for the rest. */
function npmThatSays(answer: object, exitCode: number): Record<string, string> {
  const npm = execFileSync('sh', ['-c', 'command -v npm']).toString().trim()
  const path = join(root, 'npm')
  writeFileSync(
    path,
    `#!/bin/sh\n[ "$1" = audit ] || exec '${npm}' "$@"\necho '${JSON.stringify(answer)}'\nexit ${exitCode}\n`,
  )
  chmodSync(path, 0o755)
  return { PATH: `${root}:${process.env['PATH']}` }
}

describe('npm run release', () => {
  test('makes the files of a release with their checksums, and says that no registry answered', async () => {
    const images = ['--image', `shardcluster:${version}@${DIGEST}`, '--base-image', `node:24-trixie-slim@${DIGEST}`]
    const { code, said } = await release(['--tag', `v${version}`, ...images])
    expect(code, said).toBe(0)
    expect(said).toContain('step 1 of 6: ')
    expect(said).toContain('did not answer (ECONNREFUSED)')
    const files = [
      'images.txt',
      `shardcluster-${version}.cdx.json`,
      `shardcluster-${version}.tgz`,
      'shardcluster-crd.yaml',
    ]
    expect(readdirSync(into).sort()).toEqual(['SHA256SUMS', ...files])
    expect(execFileSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: into }).toString()).toBe(
      files.map((name) => `${name}: OK\n`).join(''),
    )
    const read = (name: string) => readFileSync(join(into, name), 'utf8')
    expect(read('shardcluster-crd.yaml')).toBe(readFileSync(join(ROOT, 'crds', 'shardcluster.yaml'), 'utf8'))
    expect(read('images.txt')).toBe(
      `base-image node:24-trixie-slim@${DIGEST}\nimage shardcluster:${version}@${DIGEST}\n`,
    )
    const chart = await helm(['template', 'x', join(into, `shardcluster-${version}.tgz`)])
    expect(parseAllDocuments(chart).map((document) => document.toJS()?.kind)).toContain('Deployment')
    expectProductionOnly(JSON.parse(read(`shardcluster-${version}.cdx.json`)))
  })

  test('makes none when the tag is of another version, an image has no digest, or the folder holds something', async () => {
    for (const [args, reason] of [
      [['--tag', 'v0.0.1'], 'the tag 0.0.1: make them one'],
      [['--base-image', 'node:24-trixie-slim'], '--base-image node:24-trixie-slim is no image by digest'],
      [['--require-signatures'], 'signatures not checked'],
    ] as const) {
      const { code, said } = await release(args)
      expect([code, said]).toEqual([1, expect.stringContaining(reason)])
      expect(existsSync(join(into, 'SHA256SUMS'))).toBe(false)
    }
    writeFileSync(join(root, 'precious'), '')
    expect(await release(['--into', root])).toMatchObject({ code: 1, said: expect.stringContaining('is not empty') })
    expect(existsSync(join(root, 'precious'))).toBe(true)
  })

  test('makes none of packages that the registry did not sign', async () => {
    const npm = npmThatSays({ invalid: [{ name: 'fastify', version: '5.0.0' }], missing: [] }, 1)
    expect(await release([], npm)).toMatchObject({ code: 1, said: expect.stringContaining('fastify@5.0.0') })
    expect(readdirSync(into)).toEqual([])
    const signed = await release(['--require-signatures'], npmThatSays({ invalid: [], missing: [] }, 0))
    expect(signed).toMatchObject({ code: 0, said: expect.stringContaining('all are signed') })
  })
})

interface Sbom {
  readonly metadata: { readonly component: object }
  readonly components: readonly { name: string; hashes?: readonly { alg: string }[] }[]
}

/** What the image installs, each with its hash, and nothing else. */
function expectProductionOnly({ metadata, components }: Sbom): void {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; optional?: boolean; devOptional?: boolean }>
  }
  const installed = Object.entries(packages)
    .filter(([path, { dev, optional, devOptional }]) => path !== '' && !dev && !optional && !devOptional)
    .map(([path]) => path.replace(/.*node_modules\//, ''))
  expect(metadata.component).toMatchObject({ name: 'shardcluster', version })
  expect(new Set(components.map(({ name }) => name))).toEqual(new Set(installed))
  for (const { name, hashes = [] } of components) expect(hashes, name).toMatchObject([{ alg: 'SHA-512' }])
}
