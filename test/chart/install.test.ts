import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { type ApiServer, startApiServer } from '../support/apiserver/apiserver.ts'
import { CHART, EVERYTHING, helm, pods, render } from './helm.ts'

/** The chart on a real API server: it takes every object, and its rights are what they should be. Nothing runs here. */

const CRD = 'crd/shardclusters.shardcluster.dev'
let server: ApiServer
let before: string

/** helm against that server, with values as JSON on standard input. */
const install = (command: string[], values: object, chart = CHART) =>
  helm([...command, 'shardcluster', chart, '--namespace=system', '--values=-', `--kubeconfig=${server.kubeconfig}`], {
    input: JSON.stringify(values),
  })

beforeAll(async () => {
  server = await startApiServer()
  await server.kubectl(['create', 'namespace', 'system'])
  await server.kubectl(['label', 'namespace', 'system', 'pod-security.kubernetes.io/enforce=restricted'])
  await server.kubectl(['create', 'namespace', 'elsewhere'])
  const older = olderChart()
  await install(['install'], EVERYTHING, older)
  before = await trialKeys()
  rmSync(older, { recursive: true })
})
afterAll(() => server?.stop())

/** This chart with a CRD that lacks the last column. */
function olderChart(): string {
  const directory = mkdtempSync(join(tmpdir(), 'shardcluster-chart-'))
  cpSync(CHART, directory, { recursive: true })
  const file = join(directory, 'files', 'shardcluster-crd.yaml')
  const [crd] = parseAllDocuments(readFileSync(file, 'utf8'))
  const [version] = crd?.toJS().spec.versions ?? []
  const columns: unknown[] = version.additionalPrinterColumns
  crd?.setIn(['spec', 'versions', 0, 'additionalPrinterColumns'], columns.slice(0, -1))
  writeFileSync(file, String(crd))
  return directory
}

const trialKeys = () =>
  server.kubectl(['-n', 'system', 'get', 'secret', 'shardcluster-trial', '-o', 'jsonpath={.data}'])
const columns = () =>
  server.kubectl(['get', CRD, '-o', 'jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}'])

test('an upgrade brings the new CRD and keeps the keys', async () => {
  expect(await columns()).not.toContain('Message')
  await install(['upgrade'], EVERYTHING)
  expect(await columns()).toMatch(/Message$/)
  expect(before).toMatch(/"rest-authorization":"\w{40,}/)
  expect(await trialKeys()).toBe(before)
})

describe('Pod Security admission', async () => {
  const all = pods(await render(EVERYTHING))
  const create = (spec: object) =>
    server.kubectl(['create', '--namespace=system', '--dry-run=server', '--filename=-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'tried' }, spec }),
    })

  test.for(all)('"restricted" takes the pod of $metadata.name', async ({ spec }) => {
    await create(spec)
  })

  test('refuses the same pod without its security context', async () => {
    const { securityContext: _, ...spec } = all[0]?.spec ?? {}
    await expect(create(spec)).rejects.toThrow('violates PodSecurity "restricted:latest"')
  })
})

describe('the operator', () => {
  const MAY: [string, string, string][] = [
    ['elsewhere', 'list', 'shardclusters.shardcluster.dev'],
    ['elsewhere', 'watch', 'shardclusters.shardcluster.dev'],
    ['elsewhere', 'patch', 'shardclusters.shardcluster.dev/status'],
    ['elsewhere', 'update', 'shardclusters.shardcluster.dev/finalizers'],
    ['elsewhere', 'patch', 'statefulsets.apps'],
    ['elsewhere', 'create', 'statefulsets.apps'],
    ['elsewhere', 'patch', 'poddisruptionbudgets.policy'],
    ['elsewhere', 'delete', 'pods'],
    ['elsewhere', 'get', 'secrets'],
    ['elsewhere', 'create', 'events.events.k8s.io'],
    ['system', 'create', 'leases.coordination.k8s.io'],
    ['system', 'update', 'leases.coordination.k8s.io shardcluster'],
  ]
  const MAY_NOT: [string, string, string][] = [
    ['elsewhere', 'list', 'secrets'],
    ['elsewhere', 'watch', 'secrets'],
    ['elsewhere', 'delete', 'secrets'],
    ['elsewhere', 'create', 'pods'],
    ['elsewhere', 'create', 'pods/exec'],
    ['elsewhere', 'patch', 'shardclusters.shardcluster.dev'],
    ['elsewhere', 'create', 'leases.coordination.k8s.io'],
    ['system', 'update', 'leases.coordination.k8s.io another'],
    ['system', 'get', 'configmaps'],
    ['', 'list', 'nodes'],
  ]

  test('may do what it needs to, and no more', async () => {
    expect(await allowed([...MAY, ...MAY_NOT])).toEqual([...MAY.map(() => true), ...MAY_NOT.map(() => false)])
  })

  test('with chosen namespaces may do it there only', async () => {
    await install(['upgrade'], { ...EVERYTHING, watchNamespaces: ['elsewhere'] })
    const there = MAY.filter(([namespace]) => namespace === 'elsewhere')
    const here = there.map(([, verb, resource]): [string, string, string] => ['system', verb, resource])
    expect(await allowed([...there, ...here])).toEqual([...there.map(() => true), ...here.map(() => false)])
  })

  /** Whether the operator's ServiceAccount may do each, as the API server's own authorizer decides. */
  async function allowed(questions: readonly (readonly [string, string, string])[]): Promise<boolean[]> {
    const items = questions.map(([namespace, verb, target]) => {
      const [path = '', name = ''] = target.split(' ')
      const [dotted = '', subresource = ''] = path.split('/')
      const [resource, ...group] = dotted.split('.')
      const resourceAttributes = { namespace, verb, group: group.join('.'), resource, subresource, name }
      const spec = { user: 'system:serviceaccount:system:shardcluster', resourceAttributes }
      return { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec }
    })
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
    const answer = await server.kubectl(['create', '-f', '-', '-o', 'jsonpath={.status.allowed}{"\\n"}'], { input })
    return answer
      .trim()
      .split('\n')
      .map((line) => line === 'true')
  }
})

describe('what the notes say to apply', () => {
  const restProxy = { enabled: true, tokenSecretRef: { name: 'bot' }, authorizationSecretRef: { name: 'bot' } }
  test.for([
    ['the defaults', {}],
    ['the trial', EVERYTHING],
    ['a REST proxy', { restProxy }],
  ] as const)('is accepted with %s', async ([, values]) => {
    const notes = (await install(['install', '--dry-run=client'], values)).split('\nNOTES:\n')[1] ?? ''
    const [, manifest = ''] = /^kubectl .*apply .*<<'END'\n(.*?)\nEND$/ms.exec(notes) ?? []
    expect(manifest).toContain('kind: ShardCluster')
    const args = ['apply', '--server-side', '--dry-run=server', '--validate=strict', '--namespace=system', '-f', '-']
    await server.kubectl(args, { input: manifest })
  })
})

describe('an uninstall', () => {
  const uninstall = () => helm(['uninstall', 'shardcluster', '--namespace=system', `--kubeconfig=${server.kubeconfig}`])
  const sample = join(CHART, '..', '..', 'crds', 'samples', 'simulator.yaml')
  const there = () => server.kubectl(['-n', 'system', 'get', 'shardclusters', '-o', 'name'])

  test('leaves the CRD and every ShardCluster, and the next install finds them', async () => {
    await server.kubectl(['-n', 'system', 'apply', '--server-side', '-f', sample])
    await uninstall()
    expect(await there()).toBe('shardcluster.shardcluster.dev/bot\n')
    expect(await server.kubectl(['-n', 'system', 'get', 'deployments', '-o', 'name'])).toBe('')
    await install(['install'], {})
    expect(await there()).toBe('shardcluster.shardcluster.dev/bot\n')
  })

  test('takes them with it where that is wanted', async () => {
    await install(['upgrade'], { crds: { keep: false } })
    await uninstall()
    // Helm does not wait for what it deletes, and a CRD ends when its objects have.
    const left = () => server.kubectl(['get', CRD, '--ignore-not-found'])
    await expect.poll(left, { timeout: 30_000 }).toBe('')
  })
})
