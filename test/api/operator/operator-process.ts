import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { freePorts } from '../../support/apiserver/ports.ts'
import type { CrdServer } from '../crd-server.ts'
import { metricOf, OPERATOR, type Operator } from './world.ts'

const ROOT = join(import.meta.dirname, '..', '..', '..')
const MAIN = join(ROOT, 'src', 'cli', 'main.ts')
const TEMPLATES = join(ROOT, 'charts', 'shardcluster', 'templates')
const LEASE = 'shardcluster-operator'

export interface OperatorProcess extends Operator {
  /** Everything it wrote. */
  log(): string
  /** `kill -9`. */
  crash(): Promise<void>
}

/** Lets the user OPERATOR do what the chart lets the operator do, and nothing else. */
export async function grantRights(server: CrdServer): Promise<void> {
  // Between the lines of the template language it is YAML; only the Lease's name is filled in.
  const rulesOf = (file: string, from: RegExp) => {
    const text = readFileSync(join(TEMPLATES, file), 'utf8')
    const plain = text.slice(text.search(from)).replaceAll('{{ $name }}', LEASE)
    return parse(plain.slice(0, plain.search(/^(---|\{\{-? end)/m)).replace(/^\{\{.*$/gm, '')) as unknown
  }
  const { rules: lease } = rulesOf('rbac.yaml', /^rules:\n {2}# The name/m) as { rules: object[] }
  const rules = [...(rulesOf('_rules.tpl', /^- apiGroups/m) as object[]), ...lease]
  const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: OPERATOR }, rules }
  await server.kubectl(['create', '-f', '-'], { input: JSON.stringify(role) })
  await server.kubectl(['create', 'clusterrolebinding', OPERATOR, `--clusterrole=${OPERATOR}`, `--user=${OPERATOR}`])
}

/**
 * The operator as a process of its own, as it runs in a pod: with the rights that the chart gives it; it says all that
 * it ever says, and ends on SIGTERM.
 */
export async function startOperatorProcess(server: CrdServer, podName: string): Promise<OperatorProcess> {
  const [port = 0, apiPort = 0] = await freePorts(2)
  const { PATH = '', HOME = '' } = process.env
  const child = spawn(process.execPath, [MAIN, 'operator'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...{
        PATH,
        HOME,
        KUBECONFIG: server.kubeconfigOf(OPERATOR),
        POD_NAME: podName,
        SHARDCLUSTER_WORKER_IMAGE: 'shardcluster:test',
      },
      ...{ SHARDCLUSTER_HTTP_PORT: String(port), SHARDCLUSTER_API_PORT: String(apiPort) },
      ...{ SHARDCLUSTER_LOG_LEVEL: 'trace', SHARDCLUSTER_LEASE_NAME: LEASE },
    },
  })
  const exited = once(child, 'close')
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part) => (text += part))
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    await exited
  }
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    apiUrl: `http://127.0.0.1:${apiPort}`,
    log: () => text,
    metric: (name) => metricOf(url, name),
    stop: () => end('SIGTERM'),
    crash: () => end('SIGKILL'),
  }
}
