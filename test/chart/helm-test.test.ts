import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiServer, startApiServer } from '../support/apiserver/apiserver.ts'
import { CommandFailed, run } from '../support/cluster/run.ts'
import { CHART, helm, pods, render } from './helm.ts'

/** The pod of `helm test` that asks for the operator's rights, as a process of this machine. */

const SERVICE_ACCOUNT = 'system:serviceaccount:system:shardcluster'
let server: ApiServer
let directory: string
beforeAll(async () => {
  server = await startApiServer({ users: [{ name: SERVICE_ACCOUNT }] })
  for (const namespace of ['system', 'bots']) await server.kubectl(['create', 'namespace', namespace])
  directory = mkdtempSync(join(tmpdir(), 'shardcluster-helm-test-'))
  writeFileSync(join(directory, 'ca.crt'), server.certificate)
  writeFileSync(join(directory, 'token'), server.tokenOf(SERVICE_ACCOUNT))
})
afterAll(async () => {
  await server?.stop()
  if (directory) rmSync(directory, { recursive: true })
})

/** Installs that, and runs what the pod of `values` runs. Resolves with what it says; rejects where it fails. */
async function tested(values: object, installed = values): Promise<string> {
  const flags = ['--namespace=system', '--values=-', `--kubeconfig=${server.kubeconfig}`]
  await helm(['upgrade', '--install', 'shardcluster', CHART, ...flags], { input: JSON.stringify(installed) })
  const pod = pods(await render(values)).find(({ metadata }) => metadata.name === 'shardcluster-test-rights')
  const [container] = pod?.spec.containers ?? []
  const [, ...command] = (container?.['command'] ?? []) as string[]
  const env = {
    ...Object.fromEntries((container?.env ?? []).map(({ name, value = '' }) => [name, value])),
    API_SERVER: server.url,
    NODE_EXTRA_CA_CERTS: join(directory, 'ca.crt'),
    TOKEN_FILE: join(directory, 'token'),
  }
  return await run(process.execPath, [...command, ...(container?.args ?? [])], { env })
}

describe('helm test', () => {
  test.for([{}, { watchNamespaces: ['bots', 'system'] }])('%j: finds the CRD and every right', async (values) => {
    const said = await tested(values)
    expect(said).toContain('The API server has shardclusters, ')
    const [, have, all] = /^(\d+) of (\d+) rights are there\.$/m.exec(said) ?? []
    expect(have).toBe(all)
    expect(Number(all)).toBeGreaterThan(20)
  })

  test('says which right is missing where somebody else grants them', async () => {
    const failed = await tested({}, { rbac: { create: false } }).catch((error: unknown) => error)
    expect(failed).toBeInstanceOf(CommandFailed)
    expect(String(failed)).toContain('The operator may not delete pods in all namespaces.')
  })

  test('fails without the CRD', async () => {
    await server.kubectl(['delete', 'crd', 'shardclusters.shardcluster.dev'])
    await expect(tested({ crds: { enabled: false } })).rejects.toThrow('/apis/shardcluster.dev/v1alpha1: 404')
  })
})
