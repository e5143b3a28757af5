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

const STAGES = ['unit', 'sim', 'sinks', 'api', 'chart', 'e2e'] as const
const root = join(import.meta.dirname, '..')
const KIT = join(root, 'test', 'support', 'kind', 'kit.sh')

interface Counts {
  passed: number
  failed: number
  skipped: number
}

const wanted = process.argv.slice(2)
const stages = wanted.length > 0 ? STAGES.filter((stage) => wanted.includes(stage)) : [...STAGES]
const reports = mkdtempSync(join(tmpdir(), 'shardcluster-tests-'))
const total: Counts = { passed: 0, failed: 0, skipped: 0 }
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
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`)
// A skipped test looks green and shows nothing.
if (total.failed > 0 || total.skipped > 0 || total.passed === 0) process.exitCode = 1

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
async function runStage(stage: string): Promise<Counts> {
  console.log(`\n=== ${stage} ===`)
  const report = join(reports, `${stage}.json`)
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const args = [
    vitest,
    'run',
    '--project',
    stage,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
  ]
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' })
  children.add(child)
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  children.delete(child)
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(
      readFileSync(report, 'utf8'),
    ) as Record<string, number>
    const counts = {
      passed: numPassedTests ?? 0,
      failed: numFailedTests ?? 0,
      skipped: (numPendingTests ?? 0) + (numTodoTests ?? 0),
    }
    // A file that cannot be loaded, or an unhandled rejection, fails the run without failing a test.
    return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }
  }
}

function add({ passed, failed, skipped }: Counts): void {
  total.passed += passed
  total.failed += failed
  total.skipped += skipped
}
