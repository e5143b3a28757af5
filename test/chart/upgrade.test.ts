import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiServer, startApiServer } from '../support/apiserver/apiserver.ts'
import { CHART, helm } from './helm.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const RELEASES = join(ROOT, 'test', 'e2e', 'releases')
const directory = mkdtempSync(join(tmpdir(), 'shardcluster-release-'))

let server: ApiServer
let previous: string
beforeAll(async () => {
  server = await startApiServer()
  await server.kubectl(['create', 'namespace', 'system'])
  previous = previousChart()
})
afterAll(async () => {
  rmSync(directory, { recursive: true })
  await server?.stop()
})

/** The chart of the release before, unpacked. */
function previousChart(): string {
  const [archive = '', ...others] = readdirSync(RELEASES)
  expect(others).toEqual([])
  execFileSync('tar', ['-xzf', join(RELEASES, archive), '-C', directory])
  return join(directory, archive.replace('.tar.gz', ''), 'charts', 'shardcluster')
}

/** What somebody may have set who took the release before. */
const SET = {
  replicas: 2,
  networkPolicy: {
    enabled: true,
    metricsFrom: [{ namespaceSelector: { matchLabels: { team: 'monitoring' } } }],
    restProxyFrom: [{ namespaceSelector: { matchLabels: { team: 'bots' } } }],
  },
}

const here = () => ['--namespace=system', `--kubeconfig=${server.kubeconfig}`]
const input = JSON.stringify(SET)
const read = async (object: string, path: string) =>
  (await server.kubectl(['-n', 'system', 'get', object, '-o', `jsonpath=${path}`])).trim()

describe('from the release before', () => {
  test('the command of docs/upgrades.md brings this one, and keeps the values that were set', async () => {
    const typed = /^helm (upgrade .*)$/m.exec(readFileSync(join(ROOT, 'docs', 'upgrades.md'), 'utf8'))?.[1] ?? ''
    expect(typed).toContain('charts/shardcluster')
    await helm(['install', 'shardcluster', previous, '--values=-', ...here()], { input })
    const command = typed.split(' ').map((word) => (word === 'charts/shardcluster' ? CHART : word))
    await helm([...command, ...here()])
    const path = '{.spec.replicas} {.spec.template.spec.containers[0].image}'
    expect(await read('deployment/shardcluster', path)).toBe('2 shardcluster:NEW')
  })

  test('who was admitted still is', async () => {
    const admitted = async (name: string): Promise<object[]> =>
      JSON.parse(await read(`networkpolicy/shardcluster-${name}`, '{.spec.ingress[0].from}'))
    const { metricsFrom } = SET.networkPolicy
    expect(await admitted('operator')).toEqual(expect.arrayContaining(metricsFrom))
    expect(await admitted('workers')).toEqual(expect.arrayContaining(metricsFrom))
  })

  test('one that had no NetworkPolicy gets them, and one that said it wants none gets none', async () => {
    const policies = () => server.kubectl(['get', 'networkpolicies', '--all-namespaces', '-o', 'name'])
    for (const [set, expected] of [
      [
        [],
        'networkpolicy.networking.k8s.io/shardcluster-operator\nnetworkpolicy.networking.k8s.io/shardcluster-workers',
      ],
      [['--set=networkPolicy.enabled=false'], ''],
    ] as const) {
      await helm(['uninstall', 'shardcluster', ...here()])
      await helm(['install', 'shardcluster', previous, '--take-ownership', ...set, ...here()])
      await helm(['upgrade', 'shardcluster', CHART, '--reset-then-reuse-values', ...here()])
      expect((await policies()).trim()).toBe(expected)
    }
  })
})
