import { load } from './machine.ts'

/** What a part was to reach, and whether it did. */
export interface Goal {
  readonly text: string
  readonly met: boolean
}

/** What a part of the benchmark found. */
export interface Part {
  readonly name: string
  /** What was measured, in a sentence or two. */
  readonly about: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
  readonly goals: readonly Goal[]
  /** Everything that was measured, for whoever reckons further. */
  readonly raw: readonly object[]
}

/** A part with how busy the machine was before and after it. */
export interface Measured extends Part {
  readonly load: string
  readonly seconds: number
}

export type RunPart = (say: (line: string) => void) => Promise<Part>

export async function measure(run: RunPart, say: (line: string) => void): Promise<Measured> {
  const before = load()
  const startedAt = performance.now()
  const part = await run(say)
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  return { ...part, load: `load averages (1 / 5 min) before ${before}, after ${load()}`, seconds }
}

/** A part as Markdown that reads well on a terminal too. */
export function describe({ name, about, columns, rows, goals, load, seconds }: Measured): string {
  const verdicts = goals.map(({ text, met }) => `- ${met ? 'met' : '**MISSED**'}: ${text}`)
  return [`## ${name}`, about, table(columns, rows), verdicts.join('\n'), `${load}; took ${seconds} s.`].join('\n\n')
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [columns, ...rows]
  const widths = columns.map((_, i) => Math.max(3, ...lines.map((line) => (line[i] ?? '').length)))
  const pad = (text: string, i: number) => (i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0))
  const written = lines.map((line) => `| ${line.map(pad).join(' | ')} |`)
  const rule = `| ${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return [written[0], rule, ...written.slice(1)].join('\n')
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [a = Number.NaN, b = Number.NaN] = [sorted[middle], sorted[middle - (sorted.length % 2 === 0 ? 1 : 0)]]
  return (a + b) / 2
}
