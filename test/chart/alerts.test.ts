import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { promtool } from '../support/prometheus/promtool.ts'
import { metricsOf, RECORDED, seriesOf } from '../support/prometheus/scrape.ts'
import { ALERT_CASES } from './alert-cases.ts'
import { CHART, find, render } from './helm.ts'

/** The alerting rules of the chart, by Prometheus' own tool. */

interface Alert {
  readonly alert: string
  readonly expr: string
  readonly for: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly description: string; readonly runbook_url: string }
}
interface Groups {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Alert[] }[]
}

const RULES = join(CHART, 'files', 'alerts.yaml')
const RUNBOOKS = join(CHART, '..', '..', 'docs', 'runbooks')
const alerts = (parse(readFileSync(RULES, 'utf8')) as Groups).groups.flatMap(({ rules }) => rules)
const dashboard = readFileSync(join(CHART, 'files', 'dashboard.json'), 'utf8')

/** The expressions of the dashboard, with values in place of its variables. */
const queries = [...dashboard.matchAll(/"expr": ("(?:[^"\\]|\\.)*")/g)].map(([, text = '""']) =>
  (JSON.parse(text) as string).replaceAll('$cluster', '.*').replaceAll('$__rate_interval', '5m'),
)

let directory: string
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'shardcluster-rules-'))
  await promtool(['--version'])
}, 1_800_000)
afterAll(() => rmSync(directory, { recursive: true }))

const written = (name: string, content: object): string => {
  const path = join(directory, name)
  writeFileSync(path, stringify(content))
  return path
}

test('promtool has nothing to say about the rules', async () => {
  await expect(promtool(['check', 'rules', '--lint=all', '--lint-fatal', RULES])).resolves.toContain('SUCCESS')
})

test('promtool understands every query of the dashboard', async () => {
  expect(queries.length).toBeGreaterThan(20)
  const rules = queries.map((expr, index) => ({ record: `dashboard:query_${index}`, expr }))
  const file = written('dashboard.yaml', { groups: [{ name: 'dashboard', rules }] })
  await expect(promtool(['check', 'rules', file])).resolves.toContain('SUCCESS')
})

describe('in Prometheus', () => {
  test('each case sets off just the alerts it should', async () => {
    const tests = ALERT_CASES.map(({ name, series, at, fire }) => ({
      ...{ name, interval: '1m' },
      input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
      promql_expr_test: [
        {
          expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
          eval_time: at,
          exp_samples: fire.map((alertname) => ({ labels: `{alertname="${alertname}"}`, value: 1 })),
        },
      ],
    }))
    const file = written('test.yaml', { rule_files: [RULES], evaluation_interval: '1m', tests })
    await expect(promtool(['test', 'rules', file])).resolves.toContain('SUCCESS')
  })

  test('each alert is in a case that sets it off', () => {
    const fired = new Set(ALERT_CASES.flatMap(({ fire }) => fire))
    expect([...fired].sort()).toEqual(alerts.map(({ alert }) => alert).sort())
    expect(ALERT_CASES.filter(({ fire }) => fire.length === 0).length).toBeGreaterThanOrEqual(alerts.length)
  })
})

describe('each alert', () => {
  test.for(alerts)('$alert says what it is, and how bad', ({ alert, annotations, labels, ...rest }) => {
    expect(alert).toMatch(/^ShardCluster[A-Z]/)
    expect(['warning', 'critical']).toContain(labels.severity)
    expect(rest.for).toMatch(/^\d+[mh]$/)
    expect(annotations.summary).toMatch(/^.{10,130}\.$/)
    expect(annotations.description).toMatch(/\.$/)
  })

  test.for(alerts)(
    '$alert has a runbook that says what it means, what to look at and what to do',
    ({ alert, annotations }) => {
      expect(annotations.runbook_url).toBe(`docs/runbooks/${alert}.md`)
      const text = readFileSync(join(RUNBOOKS, `${alert}.md`), 'utf8')
      const titles = [...text.matchAll(/^#+ .*$/gm)].map(([title]) => title)
      expect(titles).toEqual([`# ${alert}`, '## What it means', '## Look', '## Act'])
      const [, , look = '', act = ''] = text.split(/^## .*$/m)
      expect(look, 'something to paste').toMatch(/^(```sh\n|.*`)/m)
      expect(act.trim().length).toBeGreaterThan(100)
    },
  )

  test('and no runbook is left over', () => {
    const named = alerts.map(({ alert }) => `${alert}.md`)
    expect(
      readdirSync(RUNBOOKS)
        .filter((name) => name !== 'README.md')
        .sort(),
    ).toEqual(named.sort())
  })
})

test('rules and dashboard ask for metrics and labels that a real operator and a real worker show', () => {
  const metrics = [RECORDED.operator, RECORDED.sharder].flatMap((path) => metricsOf(readFileSync(path, 'utf8')))
  const known = new Map(metrics.flatMap((metric) => seriesOf(metric).map((name) => [name, metric])))
  const asked = [...alerts.map(({ expr }) => expr), ...queries].flatMap((query) => [
    ...query.matchAll(/\b([a-z]+_[a-z_]+)(?:\{([^}]*)\})?/g),
  ])
  const found = asked.filter(([, name = '']) => /^(shardcluster|controller|workqueue|rest|leader|process)_/.test(name))
  expect(found.length).toBeGreaterThan(50)
  for (const [, name = '', matchers = ''] of found) {
    const metric = known.get(name)
    expect(metric, `${name} is in no scrape`).toBeDefined()
    // `cluster` of a worker comes from the PodMonitor.
    for (const [, label = ''] of matchers.matchAll(/(\w+)(?:=|!=|=~|!~)"/g))
      if (label !== 'cluster') expect(metric?.labels, `${name}{${label}}`).toContain(label)
  }
})

test('promtool finds no fault with the metrics themselves', async () => {
  for (const path of Object.values(RECORDED)) {
    // Three of prom-client's own are gauges named _total.
    const ours = readFileSync(path, 'utf8').replaceAll(/^(# \w+ )?nodejs_.*\n/gm, '')
    expect(ours).toContain('# TYPE shardcluster_')
    await expect(promtool(['check', 'metrics', '--lint=all'], ours)).resolves.toBe('')
  }
})

describe('in the chart', () => {
  const monitoring = { prometheusRule: { enabled: true, runbookUrl: 'https://runbooks.example/v1/' } }
  test('a PrometheusRule has the same rules, with the runbooks and the Lease of the release', async () => {
    const rule = find(await render({ monitoring, fullnameOverride: 'gateway' }), 'PrometheusRule', 'gateway')
    const rendered = (rule.spec as unknown as Groups).groups.flatMap(({ rules }) => rules)
    expect(rendered).toHaveLength(alerts.length)
    for (const [index, { alert, expr, annotations }] of rendered.entries()) {
      const plain = alerts[index]
      expect(annotations.runbook_url).toBe(`https://runbooks.example/v1/${alert}.md`)
      expect(annotations.summary).toBe(plain?.annotations.summary)
      expect(expr).toBe(plain?.expr.replace('name="shardcluster"', 'name="gateway"'))
    }
    expect(rendered[0]?.expr).toContain('name="gateway"')
  })

  test('a dashboard is JSON that Grafana finds by its label', async () => {
    const values = { monitoring: { dashboard: { enabled: true, annotations: { grafana_folder: 'Discord' } } } }
    const { data = {}, metadata } = find(await render(values), 'ConfigMap', 'shardcluster-dashboard')
    expect(JSON.parse(data['shardcluster.json'] ?? '')).toEqual(JSON.parse(dashboard))
    expect(metadata.labels).toMatchObject({ grafana_dashboard: '1' })
    expect(metadata.annotations).toEqual({ grafana_folder: 'Discord' })
  })

  test('the dashboard asks for the Lease of the release, and for nothing else by its name', async () => {
    const values = { fullnameOverride: 'gateway', monitoring: { dashboard: { enabled: true } } }
    const { data = {} } = find(await render(values), 'ConfigMap', 'gateway-dashboard')
    const plain = JSON.stringify(JSON.parse(dashboard))
    const changed = JSON.stringify(JSON.parse(data['shardcluster.json'] ?? ''))
    const leader = (name: string) => `leader_election_master_status{name=\\"${name}\\"}`
    expect(plain).toContain(leader('shardcluster'))
    expect(changed).toBe(plain.replaceAll(leader('shardcluster'), leader('gateway')))
  })
})
