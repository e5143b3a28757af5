import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiServer, startApiServer } from '../support/apiserver/apiserver.ts'
import { CHART, helm } from './helm.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const RELEASES = join(ROOT, 'test', 'e2e', 'releases')
const directory = mkdtempSync(join(tmpdir(), 'shardcluster-release-'))

let server: ApiServer
beforeAll(async () => {
  server = await startApiServer()
  await server.kubectl(['create', 'namespace', 'system'])
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

test('the command of docs/upgrades.md takes the release before to this one, and keeps the values that were set', async () => {
  const typed = /^helm (upgrade .*)$/m.exec(readFileSync(join(ROOT, 'docs', 'upgrades.md'), 'utf8'))?.[1] ?? ''
  expect(typed).toContain('charts/shardcluster')
  const here = ['--namespace=system', `--kubeconfig=${server.kubeconfig}`]
  await helm(['install', 'shardcluster', previousChart(), '--set=replicas=2', ...here])
  const command = typed.split(' ').map((word) => (word === 'charts/shardcluster' ? CHART : word))
  await helm([...command, ...here])
  const path = 'jsonpath={.spec.replicas} {.spec.template.spec.containers[0].image}'
  const deployment = await server.kubectl(['-n', 'system', 'get', 'deployment/shardcluster', '-o', path])
  expect(deployment.trim()).toBe('2 shardcluster:NEW')
})
