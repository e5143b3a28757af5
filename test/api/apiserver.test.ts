import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startApiServer } from '../support/apiserver/apiserver.ts'

const configMap = (name: string) =>
  JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { key: 'kept' } })

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('what is written survives a restart of the API server and a kill of it', async () => {
  const server = await startApiServer()
  onTestFinished(server.stop)
  await server.kubectl(['create', '--filename', '-'], { input: configMap('first') })

  await server.restart()
  server.kill('SIGKILL')
  await expect(server.kubectl(['get', 'configmap', 'first', '--request-timeout=5s'])).rejects.toThrow(
    /refused|EOF|reset/,
  )
  await server.restart()
  await server.etcd.restart()

  expect(await server.kubectl(['get', 'configmap', 'first', '--output', 'jsonpath={.data.key}'])).toBe('kept')
})

test('a user without rights is refused, and a role binding gives them', async () => {
  const server = await startApiServer({ users: [{ name: 'somebody' }] })
  onTestFinished(server.stop)
  const list = ['--kubeconfig', server.kubeconfigOf('somebody'), 'get', 'configmaps']

  await expect(server.kubectl(list)).rejects.toThrow(/forbidden.*somebody/is)
  await server.kubectl(['create', 'role', 'reader', '--verb=list', '--resource=configmaps'])
  await server.kubectl(['create', 'rolebinding', 'reader', '--role=reader', '--user=somebody'])

  await expect.poll(() => server.kubectl(list).then(() => 'listed', String), { timeout: 20_000 }).toBe('listed')
})

test('nothing is left of a stopped server', async () => {
  const server = await startApiServer()
  const pids = server.pids()
  expect(pids).toHaveLength(2)
  await server.stop()
  expect(pids.filter(isAlive)).toEqual([])
  expect(existsSync(server.kubeconfig)).toBe(false)
})

test('nothing runs on when the test runner is killed', async () => {
  const module = join(import.meta.dirname, '..', 'support', 'apiserver', 'apiserver.ts')
  const script = `const { startApiServer } = await import(process.argv[1]); console.log(JSON.stringify((await startApiServer()).pids()))`
  const runner = spawn(process.execPath, ['--input-type=module', '--eval', script, module], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void runner.kill('SIGKILL'))
  const [answer] = await once(runner.stdout, 'data')
  const pids: number[] = JSON.parse(String(answer))
  expect(pids.filter(isAlive)).toHaveLength(2)

  runner.kill('SIGKILL')
  await expect.poll(() => pids.filter(isAlive), { timeout: 20_000 }).toEqual([])
})
