import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { freePorts } from '../../support/apiserver/ports.ts'
import { metricOf, type Operator } from './world.ts'

const MAIN = join(import.meta.dirname, '..', '..', '..', 'src', 'cli', 'main.ts')

export interface OperatorProcess extends Operator {
  /** Everything it wrote. */
  log(): string
  /** `kill -9`. */
  crash(): Promise<void>
}

/** The operator as a process of its own, as it runs in a pod: it says all that it ever says, and ends on SIGTERM. */
export async function startOperatorProcess(podName: string): Promise<OperatorProcess> {
  const [port = 0] = await freePorts(1)
  const { PATH = '', HOME = '', KUBECONFIG = '' } = process.env
  const child = spawn(process.execPath, [MAIN, 'operator'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...{ PATH, HOME, KUBECONFIG, POD_NAME: podName, SHARDCLUSTER_WORKER_IMAGE: 'shardcluster:test' },
      ...{ SHARDCLUSTER_HTTP_PORT: String(port), SHARDCLUSTER_LOG_LEVEL: 'trace' },
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
    log: () => text,
    metric: (name) => metricOf(url, name),
    stop: () => end('SIGTERM'),
    crash: () => end('SIGKILL'),
  }
}
