import { join } from 'node:path'

/** Scrapes of a real operator and a real sharder, recorded by test/api/operator/metrics.test.ts. */
export const RECORDED = {
  operator: join(import.meta.dirname, '..', '..', '..', 'docs', 'scrapes', 'operator.txt'),
  sharder: join(import.meta.dirname, '..', '..', '..', 'docs', 'scrapes', 'sharder.txt'),
} as const

/** What a scrape says of one metric, beside its values. */
export interface Metric {
  readonly name: string
  readonly type: string
  readonly help: string
  /** Names of the labels of its samples, sorted, without a histogram's `le`; undefined: it had no sample. */
  readonly labels: readonly string[] | undefined
}

/** Reads Prometheus' text format. */
export function metricsOf(text: string): Metric[] {
  const lines = text.split('\n')
  return lines
    .filter((line) => line.startsWith('# HELP '))
    .map((line) => {
      const [, name = '', help = ''] = /^# HELP (\S+) (.*)$/.exec(line) ?? []
      const type = lines.find((each) => each.startsWith(`# TYPE ${name} `))?.split(' ')[3] ?? ''
      const names = new Set(seriesOf({ name, type }))
      const samples = lines.filter((each) => names.has(/^\w+/.exec(each)?.[0] ?? ''))
      return { name, help, type, labels: samples.length > 0 ? labelsOf(samples) : undefined }
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The names of a metric's series, which a query may use. */
export const seriesOf = ({ name, type }: Pick<Metric, 'name' | 'type'>): string[] =>
  type === 'histogram' || type === 'summary' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name]

function labelsOf(samples: readonly string[]): string[] {
  const names = samples.flatMap((sample) => [...sample.matchAll(/[{,](\w+)="/g)].map(([, name]) => name ?? ''))
  return [...new Set(names)].filter((name) => name !== 'le').sort()
}

/** A table for the documentation of the metrics whose names match `wanted`. */
export function metricTable(metrics: readonly Metric[], wanted: RegExp): string {
  const rows = metrics
    .filter(({ name }) => wanted.test(name))
    .map(({ name, type, labels = [], help }) => {
      const named = labels.map((label) => `\`${label}\``).join(', ')
      return `| \`${name}\` | ${type} | ${named} | ${help.replace(/\.?$/, '.')} |`
    })
  return ['| name | type | labels | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
