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
export const LEASE = 'shardcluster-operator'

export interface OperatorProcess extends Operator {
  /** Everything it wrote. */
  log(): string
  /** `kill -9`. */
  crash(): Promise<void>
  /** SIGSTOP freezes it, SIGCONT lets it go on. */
  signal(signal: NodeJS.Signals): void
  /** Its exit code, once it ended by itself or was ended; null after a signal. */
  readonly exited: Promise<number | null>
}

/** A rule of a Role: https://kubernetes.io/docs/reference/access-authn-authz/rbac/ */
export interface RightsRule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
  readonly resourceNames?: readonly string[]
}

/** What the chart lets the operator do. */
export function rightsOfChart(): RightsRule[] {
  // Between the lines of the template language it is YAML; only the Lease's name is filled in.
  const rulesOf = (file: string, from: RegExp) => {
    const text = readFileSync(join(TEMPLATES, file), 'utf8')
    const plain = text.slice(text.search(from)).replaceAll('{{ $name }}', LEASE)
    return parse(plain.slice(0, plain.search(/^(---|\{\{-? end)/m)).replace(/^\{\{.*$/gm, '')) as unknown
  }
  const { rules: lease } = rulesOf('rbac.yaml', /^rules:\n {2}# The name/m) as { rules: RightsRule[] }
  return [...(rulesOf('_rules.tpl', /^- apiGroups/m) as RightsRule[]), ...lease]
}

/** Lets the user OPERATOR do that, by default what the chart lets the operator do, and nothing else. */
export async function grantRights(server: CrdServer, rules: readonly RightsRule[] = rightsOfChart()): Promise<void> {
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  const role = { apiVersion, kind: 'ClusterRole', metadata: { name: OPERATOR }, rules }
  const binding = {
    ...{ apiVersion, kind: 'ClusterRoleBinding', metadata: { name: OPERATOR } },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: OPERATOR },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: OPERATOR }],
  }
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [role, binding] })
  await server.kubectl(['apply', '--server-side', '-f', '-'], { input })
}

/**
 * The operator as a process of its own, as it runs in a pod: with the rights that the chart gives it; it says all that
 * it ever says, and ends on SIGTERM.
 */
export async function startOperatorProcess(
  server: CrdServer,
  podName: string,
  kubeconfig = server.kubeconfigOf(OPERATOR),
): Promise<OperatorProcess> {
  const [port = 0, apiPort = 0] = await freePorts(2)
  const { PATH = '', HOME = '' } = process.env
  const child = spawn(process.execPath, [MAIN, 'operator'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...{
        PATH,
        HOME,
        KUBECONFIG: kubeconfig,
        POD_NAME: podName,
        SHARDCLUSTER_WORKER_IMAGE: 'shardcluster:test',
        // Everything is on this machine: its REST proxies as well.
        SHARDCLUSTER_REST_HOSTS: '127.0.0.0/8',
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
    signal: (signal) => void child.kill(signal),
    exited: exited.then(() => child.exitCode),
    stop: () => end('SIGTERM'),
    crash: () => end('SIGKILL'),
  }
}
