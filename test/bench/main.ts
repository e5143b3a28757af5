// npm run bench [start] [memory] [events] [sessions] [wire] [many]: measures on this machine, loopback only; the exit code is 1 when a goal is missed.
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { machine } from './harness/machine.ts'
import { describe, type Measured, measure, type RunPart } from './harness/report.ts'
import { compileOnce } from './harness/sharder.ts'
import { events } from './parts/events.ts'
import { load } from './parts/load.ts'
import { many } from './parts/many.ts'
import { memory } from './parts/memory.ts'
import { sessions } from './parts/sessions.ts'
import { sinks } from './parts/sinks.ts'
import { start } from './parts/start.ts'
import { wire } from './parts/wire.ts'

const PARTS: Readonly<Record<string, readonly RunPart[]>> = {
  start: [start],
  memory: [memory],
  events: [events, sinks, load],
  sessions: [sessions],
  wire: [wire],
  many: [many],
}
const RESULTS = new URL('./results/', import.meta.url)
const FIGURES = new URL('./figures.md', import.meta.url)

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !Object.hasOwn(PARTS, name))
if (unknown.length > 0) {
  console.error(`there is no part ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}`)
  process.exit(2)
}

function isWanted(name: string): boolean {
  return wanted.length === 0 || wanted.includes(name)
}

const date = new Date().toISOString().slice(0, 16).replace('T', ' ')
const say = (line: string): void => console.error(`  ${line}`)
const measured: Measured[] = []
compileOnce()
for (const run of Object.entries(PARTS).flatMap(([name, runs]) => (isWanted(name) ? runs : []))) {
  const part = await measure(run, say)
  measured.push(part)
  keep(part)
  console.info(`\n${describe(part)}\n`)
}
console.info(machine())
if (wanted.length === 0) writeFileSync(FIGURES, figures(measured))
process.exitCode = measured.every(({ goals }) => goals.every(({ met }) => met)) ? 0 : 1

function keep({ name, raw, load, goals }: Measured): void {
  mkdirSync(RESULTS, { recursive: true })
  const common = { part: name, date, machine: machine(), load }
  const lines = [...raw.map((row) => ({ ...common, ...row })), { ...common, goals }]
  appendFileSync(new URL(`${name}.jsonl`, RESULTS), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
}

/** Written by a full run only, so that all figures in it are of one machine and one hour. */
function figures(parts: readonly Measured[]): string {
  const head = `# Figures\n\nWritten by \`npm run bench\` on ${date} UTC. ${machine()}.`
  return `${[head, ...parts.map(describe)].join('\n\n')}\n`
}
