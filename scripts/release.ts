/**
 * `npm run release`: the files of a release, in dist/: the CRD, the packed chart, what production is made of (SBOM), the
 * images by digest where they are given, and the checksums of all. docs/releasing.md says how a release comes about.
 */
import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { parse } from 'yaml'
import { helm } from '../test/chart/helm.ts'
import { progressLog } from '../test/support/cluster/progress.ts'
import { run } from '../test/support/cluster/run.ts'
import { byDigest, checksums, oneVersion, productionOnly, ReleaseRefused, signaturesOf } from './release-files.ts'

const ROOT = join(import.meta.dirname, '..')
const CHART = join(ROOT, 'charts', 'shardcluster')
/** npm asks the registry for each package, and somebody else for the registry's keys. Milliseconds. */
const SIGNATURES_TIMEOUT = 300_000

const { values: asked } = parseArgs({
  options: {
    /** An empty folder, or one to be made, for the files. Default: dist/, which is made anew. */
    into: { type: 'string' },
    /** The tag the release is made of: v and the version. */
    tag: { type: 'string' },
    /** The image of the release, and what it was built on, by digest. */
    image: { type: 'string' },
    'base-image': { type: 'string' },
    /** A registry that does not answer for its signatures is a failure. */
    'require-signatures': { type: 'boolean', default: false },
  },
})
const DIST = join(ROOT, 'dist')
const into = resolve(asked.into ?? DIST)
const log = progressLog('release')

try {
  const version = oneVersion(versions())
  const images = (['base-image', 'image'] as const).flatMap((option) => {
    const reference = asked[option]
    return reference === undefined ? [] : [`${option} ${byDigest(reference, option)}\n`]
  })
  makeFolder()
  const steps: readonly (readonly [title: string, run: () => unknown])[] = [
    ["the registry's signatures of what is installed", checkSignatures],
    ['the CRD', () => copyFileSync(join(ROOT, 'crds', 'shardcluster.yaml'), join(into, 'shardcluster-crd.yaml'))],
    ['the chart', () => helm(['package', CHART, '--destination', into])],
    ['what production is made of', () => writeSbom(join(into, `shardcluster-${version}.cdx.json`))],
    ['the images', () => images.length > 0 && writeFileSync(join(into, 'images.txt'), images.join(''))],
    ['the checksums', () => writeFileSync(join(into, 'SHA256SUMS'), checksums(into, readdirSync(into)))],
  ]
  for (const [index, [title, step]] of steps.entries()) {
    log(`step ${index + 1} of ${steps.length}: ${title}`)
    await step()
  }
  for (const name of readdirSync(into).sort()) console.log(join(into, name))
} catch (error) {
  if (!(error instanceof ReleaseRefused)) throw error
  console.error(error.message)
  process.exitCode = 1
}

function makeFolder(): void {
  if (into === DIST) rmSync(into, { recursive: true, force: true })
  mkdirSync(into, { recursive: true })
  if (readdirSync(into).length > 0)
    throw new ReleaseRefused(`${into} is not empty: name a folder for the release alone`)
}

function versions() {
  const chart = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8'))
  return { package: readJson('package.json').version, chart: chart.version, app: chart.appVersion, tag: asked.tag }
}

function readJson(name: string) {
  return JSON.parse(readFileSync(join(ROOT, name), 'utf8'))
}

/** Of what the image installs: the Dockerfile omits the same. From the lock file, so the platform does not matter. */
async function writeSbom(path: string): Promise<void> {
  const parent = mkdtempSync(join(tmpdir(), 'release-'))
  try {
    // npm calls a project by its folder.
    const folder = join(parent, 'shardcluster')
    mkdirSync(folder)
    const { manifest, lock } = productionOnly(readJson('package.json'), readJson('package-lock.json'))
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
    writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(lock))
    const flags = ['--package-lock-only', '--sbom-format=cyclonedx', '--sbom-type=application']
    writeFileSync(path, await run('npm', ['sbom', ...flags], { cwd: folder }))
  } finally {
    rmSync(parent, { recursive: true })
  }
}

async function checkSignatures(): Promise<void> {
  const found = await auditSignatures()
  if (found.kind === 'Signed') return log('all are signed')
  if (found.kind === 'NotSigned')
    throw new ReleaseRefused(`not signed by the registry, or not as it says: ${found.packages.join(', ')}`)
  const text = `not checked: the registry, or who keeps its keys, did not answer (${found.reason})`
  if (asked['require-signatures']) throw new ReleaseRefused(`signatures ${text}; --require-signatures wants them`)
  log(text)
}

async function auditSignatures() {
  const flags = ['--json', '--loglevel=silent', '--fetch-retries=0']
  try {
    const options = { cwd: ROOT, timeout: SIGNATURES_TIMEOUT, maxBuffer: 16 * 1_024 * 1_024 }
    const { stdout } = await promisify(execFile)('npm', ['audit', 'signatures', ...flags], options)
    return signaturesOf(0, stdout)
  } catch (error) {
    const { code, stdout } = error as { code?: unknown; stdout?: string }
    return signaturesOf(typeof code === 'number' ? code : 1, stdout ?? '')
  }
}
