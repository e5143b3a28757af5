import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KubeConfig } from '@kubernetes/client-node'
import { Registry } from 'prom-client'
import { Caches } from '../../../../operator/caches.ts'
import { ObjectClient } from '../../../../operator/kube/apply.ts'
import { createKubeMetrics } from '../../../../operator/kube/metrics.ts'
import { KubeTransport } from '../../../../operator/kube/transport.ts'
import { systemClock } from '../../../../src/support/clock.ts'
import { ApiProxy } from '../../../support/api-proxy/api-proxy.ts'
import { FIRST, type Identity, SECOND } from '../../../support/api-proxy/certificates.ts'
import { FaultProxy } from '../../../support/fault-proxy.ts'
import { type CrdServer, startCrdServer } from '../../crd-server.ts'
import { quiet } from '../world.ts'
import { CountingTransport } from './counting.ts'

/** What an hour's waits are here: time-outs of a second, back-offs of milliseconds. The rules are the same. */
const TIMING = {
  backoff: { baseMs: 10, capMs: 200, jitter: 1, resetAfterMs: 5_000 },
  watchSeconds: { min: 2, max: 3 },
  watchGraceMs: 500,
  callTimeoutMs: 1_500,
}
const CONNECT_TIMEOUT_MS = 700

/** The files that an operator's kubeconfig points at, as a kubelet writes them. */
export interface CredentialFiles {
  token(token: string): Promise<void>
  ca(identity: Identity): Promise<void>
}

/** The operator's caches, two proxies and an API server, in this order. */
export interface Rig {
  readonly server: CrdServer
  readonly http: ApiProxy
  readonly tcp: FaultProxy
  readonly files: CredentialFiles
  readonly transport: KubeTransport
  readonly counting: CountingTransport
  readonly caches: Caches
  readonly metrics: ReturnType<typeof createKubeMetrics>
  /** Past the proxies: what the rest of the world does. */
  readonly direct: ObjectClient
  /** The certificate that is presented and the token that is taken now. */
  readonly now: { identity: Identity; token: string }
  close(): Promise<void>
}

export async function startRig(random: () => number): Promise<Rig> {
  const server = await startCrdServer()
  const http = await ApiProxy.start({ url: server.url, ca: server.certificate, upstreamToken: server.tokenOf('admin') })
  const tcp = await FaultProxy.start({ host: '127.0.0.1', port: http.port })
  const now = { identity: FIRST, token: 'token-0' }
  http.token = now.token
  const { directory, files, kubeConfig } = await credentials(tcp.port)
  await files.token(now.token)
  await files.ca(now.identity)
  const metrics = createKubeMetrics(new Registry())
  const shared = { clock: systemClock, logger: quiet, metrics }
  const transport = KubeTransport.fromConfig(kubeConfig, { ...shared, connectTimeoutMs: CONNECT_TIMEOUT_MS })
  const counting = new CountingTransport(transport)
  const caches = new Caches({ ...shared, ...TIMING, transport: counting, random, namespaces: [] })
  const own = new KubeConfig()
  own.loadFromFile(server.kubeconfig)
  const past = KubeTransport.fromConfig(own, { clock: systemClock, logger: quiet })
  return {
    ...{ server, http, tcp, files, transport, counting, caches, metrics, now },
    direct: new ObjectClient(past, 'writer'),
    async close() {
      await transport.close()
      await past.close()
      await tcp.close()
      await http.close()
      await server.stop()
      await rm(directory, { recursive: true })
    },
  }
}

/** As in a pod: a token and a CA in files, read again and again. */
async function credentials(port: number) {
  const directory = await mkdtemp(join(tmpdir(), 'shardcluster-credentials-'))
  const [tokenFile, caFile] = [join(directory, 'token'), join(directory, 'ca.crt')]
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromClusterAndUser(
    { name: 'c', server: `https://127.0.0.1:${port}`, caFile, skipTLSVerify: false },
    { name: 'u', authProvider: { name: 'tokenFile', config: { tokenFile } } },
  )
  const files: CredentialFiles = {
    token: (token) => writeFile(tokenFile, token, { mode: 0o600 }),
    ca: ({ cert }) => writeFile(caFile, cert),
  }
  return { directory, files, kubeConfig }
}

export const other = (identity: Identity): Identity => (identity === FIRST ? SECOND : FIRST)
