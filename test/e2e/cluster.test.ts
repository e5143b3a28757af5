import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from 'vitest'
import { openCluster } from '../support/cluster/cluster.ts'

const cluster = openCluster(inject('cluster'))
const image = inject('image')
const NAMESPACE = 'cluster-test'

beforeAll(async () => {
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' }
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE, labels } })
})

afterAll(() => cluster.kubectl(['delete', 'namespace', NAMESPACE, '--wait=false']))

const apply = (object: unknown) => cluster.kubectl(['apply', '--filename', '-'], { input: JSON.stringify(object) })

/** A pod of the image that runs a piece of JavaScript, under the strictest rules Kubernetes has for pods. */
function scriptPod(name: string, script: string) {
  const securityContext = {
    runAsNonRoot: true,
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  }
  const command = ['node', '--input-type=module', '--eval', script]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE },
    spec: { restartPolicy: 'Never', containers: [{ name: 'script', image, command, securityContext }] },
  }
}

/** What the script printed, once it ended well. */
async function outputOf(name: string, script: string): Promise<unknown> {
  await apply(scriptPod(name, script))
  const pod = ['--namespace', NAMESPACE, `pod/${name}`]
  const ended = ['wait', '--for=jsonpath={.status.phase}=Succeeded', '--timeout=120s', ...pod]
  try {
    await cluster.kubectl(ended, { timeoutMs: 130_000 })
  } catch (cause) {
    throw new Error(`the pod did not end well:\n${await cluster.kubectl(['describe', ...pod])}`, { cause })
  }
  return JSON.parse(await cluster.kubectl(['logs', ...pod]))
}

test('every node is Ready: in a kind cluster a control plane and two workers', async () => {
  const statuses = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{" "}{end}'
  const answer = await cluster.kubectl(['get', 'nodes', '--output', `jsonpath=${statuses}`])
  const ready = answer.trim().split(' ')
  expect(new Set(ready)).toEqual(new Set(['True']))
  if (cluster.way !== 'given') expect(ready).toHaveLength(3)
})

test('the image runs as a numbered user on a read-only root file system', async () => {
  const script = `
    import { writeFileSync } from 'node:fs'
    const attempt = (path) => { try { writeFileSync(path, 'x'); return 'written' } catch (error) { return error.code } }
    console.log(JSON.stringify({ major: parseInt(process.versions.node), uid: process.getuid(), root: attempt('/x'), app: attempt('/app/x') }))`
  const output = await outputOf('strict', script)
  expect(output).toEqual({ major: expect.toSatisfy((major) => major >= 24), uid: 65532, root: 'EROFS', app: 'EROFS' })
})

test('the image has what every command imports, and no more than production dependencies', async () => {
  const script = `
    const found = async (name) => { try { await import(name); return true } catch (error) { return error.code } }
    console.log(JSON.stringify({ client: await found('@kubernetes/client-node'), zod: await found('zod'), vitest: await found('vitest/node') }))`
  expect(await outputOf('imports', script)).toEqual({ client: true, zod: true, vitest: 'ERR_MODULE_NOT_FOUND' })
})

test('a pod reaches this machine', async () => {
  const server = createServer((_request, response) => response.end(JSON.stringify('hello from the machine')))
  server.listen(0, cluster.hostAddress)
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const script = `console.log(await (await fetch('http://${cluster.hostAddress}:${port}/')).text())`
  expect(await outputOf('outward', script)).toBe('hello from the machine')
})
