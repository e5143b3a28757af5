/**
 * `npm test`: every test there is, from the quickest to the slowest. On a machine where the cluster's programs must be
 * built first, that happens in the background while unit tests and simulations run.
 * Arguments are the stages to run; none: all.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chooseWay } from '../test/support/cluster/choose.ts'
import { REPORT_VARIABLE, type StageReport } from '../test/support/stage-report.ts'

const STAGES = ['unit', 'sim', 'sinks', 'api', 'chart', 'e2e'] as const
const root = join(import.meta.dirname, '..')
const REPORTER = join(root, 'test', 'support', 'stage-report.ts')
const KIT = join(root, 'test', 'support', 'kind', 'kit.sh')

const wanted = process.argv.slice(2)
const stages = wanted.length > 0 ? STAGES.filter((stage) => wanted.includes(stage)) : [...STAGES]
const reports = mkdtempSync(join(tmpdir(), 'shardcluster-tests-'))
const total: StageReport = { passed: 0, skipped: 0, failures: [] }
const times: string[] = []
const children = new Set<ChildProcess>()

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    for (const child of children) child.kill(signal)
    process.exitCode = 1
  })
}

const build = stages.includes('e2e') ? await buildInBackground() : undefined
for (const stage of stages) {
  if (stage === 'e2e') await build
  const started = performance.now()
  add(await runStage(stage))
  times.push(`${stage} ${((performance.now() - started) / 1_000).toFixed(0)} s`)
}
rmSync(reports, { recursive: true, force: true })
console.log(`\n${times.join(', ')}`)
const { passed, skipped, failures } = total
console.log(`${passed} passed, ${failures.length} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
for (const failure of failures) console.log(`failed: ${failure}`)
// A skipped test looks green and shows nothing.
if (failures.length > 0 || skipped > 0 || passed === 0) process.exitCode = 1

/** Starts building what the cluster needs, where it is built here. A failure is told again by the stage that needs it. */
async function buildInBackground(): Promise<Promise<void> | undefined> {
  const way = await chooseWay(process.env)
  if (way.kind !== 'kit') return undefined
  const child = spawn('bash', [KIT, 'build'], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  children.add(child)
  return new Promise((resolve) => {
    child.once('close', () => {
      children.delete(child)
      resolve()
    })
  })
}

/** One vitest run; its own report tells what became of each test. */
async function runStage(stage: string): Promise<StageReport> {
  console.log(`\n=== ${stage} ===`)
  const file = join(reports, `${stage}.json`)
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const args = [vitest, 'run', '--project', stage, '--reporter=default', `--reporter=${REPORTER}`]
  const env = { ...process.env, [REPORT_VARIABLE]: file }
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: 'inherit' })
  children.add(child)
  const ended = await new Promise<number | string>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'no exit code'))
  })
  children.delete(child)
  const report = read(file)
  // Set-up and tear-down of a stage fail the run without failing a test.
  if (ended !== 0 && report.failures.length === 0) report.failures.push(`the run ended with ${ended}, see above`)
  return { ...report, failures: report.failures.map((failure) => `${stage}: ${failure}`) }
}

function read(file: string): StageReport {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as StageReport
  } catch {
    return { passed: 0, skipped: 0, failures: ['the run wrote no report'] }
  }
}

function add({ passed, skipped, failures }: StageReport): void {
  total.passed += passed
  total.skipped += skipped
  total.failures.push(...failures)
}
