import { readFileSync, writeFileSync } from 'node:fs'
import { ApiProxy, type Seen } from '../../support/api-proxy/api-proxy.ts'
import { FIRST } from '../../support/api-proxy/certificates.ts'
import { FaultProxy } from '../../support/fault-proxy.ts'
import type { CrdServer } from '../crd-server.ts'
import { type OperatorProcess, startOperatorProcess } from './operator-process.ts'
import { OPERATOR } from './world.ts'

/** One of several operators, a process that reaches the API server over a line of its own. */
export interface Replica extends OperatorProcess {
  readonly name: string
  /** Its line, for faults of the network. */
  readonly line: FaultProxy
  /** The API server as it sees it. */
  readonly api: ApiProxy
  /** What it has asked of the API server so far. */
  readonly calls: readonly Seen[]
  /** When it logged `message` first, as Date.now() counts. */
  loggedAt(message: string): number | undefined
  close(): Promise<void>
}

export async function startReplica(server: CrdServer, name: string): Promise<Replica> {
  const api = await ApiProxy.start({ url: server.url, ca: server.certificate })
  const line = await FaultProxy.start({ host: '127.0.0.1', port: api.port })
  const calls: Seen[] = []
  api.onCall = (seen) => void calls.push(seen)
  const process = await startOperatorProcess(server, name, kubeconfigOver(server, line.port, name))
  return {
    ...process,
    ...{ name, line, api, calls },
    loggedAt(message) {
      const lines = process.log().split('\n')
      const found = lines.find((text) => text.includes(`"msg":"${message}"`))
      return found === undefined ? undefined : Date.parse((JSON.parse(found) as { time: string }).time)
    },
    async close() {
      await process.crash()
      await line.close()
      await api.close()
    },
  }
}

/** The operator's own, with another address and its certificate. */
function kubeconfigOver(server: CrdServer, port: number, name: string): string {
  const path = server.kubeconfigOf(OPERATOR)
  const config = JSON.parse(readFileSync(path, 'utf8')) as { clusters: [{ cluster: Record<string, string> }] }
  config.clusters[0].cluster = {
    server: `https://127.0.0.1:${port}`,
    'certificate-authority-data': Buffer.from(FIRST.cert).toString('base64'),
  }
  const own = `${path}.${name}`
  writeFileSync(own, JSON.stringify(config), { mode: 0o600 })
  return own
}

export const isLease = ({ resource }: Seen): boolean => resource === 'leases'
/** What changes something in the cluster; the Lease is how replicas agree. */
export const isWrite = (seen: Seen): boolean => seen.method !== 'GET' && !isLease(seen)
