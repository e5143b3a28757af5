import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Program } from '../cluster/cluster.ts'
import type { Log } from '../cluster/kit.ts'
import { run } from '../cluster/run.ts'
import { type Audit, type AuditedCall, auditIn } from './audit.ts'
import { type ApiServerBinaries, apiServerBinaries } from './binaries.ts'
import { type Daemon, startDaemon } from './daemon.ts'
import { ADMIN, type ApiServerFiles, kubeconfigFor, prepareFiles, type TokenUser } from './files.ts'
import { apiServerFlags, etcdFlags } from './flags.ts'
import { freePorts } from './ports.ts'

export interface ApiServerOptions {
  /** Keeps data, keys and logs there. Default: a temporary directory that goes with `stop`. */
  readonly dir?: string
  /**
   * Beside the administrator. They may do what RBAC objects or their groups allow; the roles `view`, `edit` and
   * `admin` allow nothing here, because a controller fills them elsewhere.
   */
  readonly users?: readonly TokenUser[]
  /** Users whose calls are recorded. Default: none. */
  readonly audited?: readonly string[]
  /** Progress of the first build, which takes minutes. */
  readonly log?: Log
}

/** A Kubernetes API server without nodes and controllers: two processes of this machine. */
export interface ApiServer {
  readonly url: string
  /** Path of the administrator's kubeconfig; it stays valid over restarts. */
  readonly kubeconfig: string
  /** Path of a kubeconfig for one of `users`. */
  kubeconfigOf(user: string): string
  /** As administrator. */
  readonly kubectl: Program
  /** What the users of `audited` asked so far. */
  calls(): readonly AuditedCall[]
  /** The serving certificate in PEM; it signs itself. */
  readonly certificate: string
  /** The token of the administrator or of one of `users`. */
  tokenOf(user: string): string
  /** Processes that run now, for tests that look at them. */
  pids(): number[]
  /** Sends a signal to the API server: SIGKILL ends it, SIGSTOP makes it hang, SIGCONT makes it go on. */
  kill(signal: NodeJS.Signals): void
  /** Ends the API server when it still runs, and starts it on the same port with the same data. Resolves when ready. */
  restart(): Promise<void>
  /** Ends both processes; data of a temporary directory is deleted. */
  stop(): Promise<void>
  /** The store, for faults below the API server. */
  readonly etcd: { kill(signal: NodeJS.Signals): void; restart(): Promise<void> }
}

const READY_WITHIN = 90_000

/** Starts etcd and kube-apiserver on free ports of 127.0.0.1 and resolves when the server says it is ready. */
export async function startApiServer(options: ApiServerOptions = {}): Promise<ApiServer> {
  const { users = [], log = (line) => process.stderr.write(`${line}\n`) } = options
  const binaries = await apiServerBinaries(log)
  const directory = options.dir ?? mkdtempSync(join(tmpdir(), 'shardcluster-api-'))
  mkdirSync(directory, { recursive: true })
  const files = prepareFiles(directory, users)
  const audit = auditIn(directory, options.audited ?? [])
  const processes = await startProcesses(binaries, files, options.dir === undefined ? directory : '', audit)
  const { url } = processes
  try {
    await processes.ready()
  } catch (error) {
    await processes.stop()
    throw error
  }

  const tokenOf = (user: string) => {
    const token = files.tokens.get(user)
    if (!token) throw new Error(`this API server has no user ${user}`)
    return token
  }
  const kubeconfigOf = (user: string) => {
    const path = join(directory, `${user.replaceAll(/[^\w.-]/g, '_')}.kubeconfig`)
    writeFileSync(path, kubeconfigFor(url, files.certificates, user, tokenOf(user)), { mode: 0o600 })
    return path
  }
  const kubeconfig = kubeconfigOf(ADMIN.name)
  return {
    ...processes,
    kubeconfig,
    kubeconfigOf,
    tokenOf,
    calls: audit.calls,
    certificate: readFileSync(join(files.certificates, 'apiserver.crt'), 'utf8'),
    kubectl: (args, more = {}) =>
      run(binaries.kubectl, args, { ...more, env: { ...more.env, KUBECONFIG: kubeconfig } }),
    async stop() {
      await processes.stop()
      if (options.dir === undefined) rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** The two processes and what can be done to them. */
async function startProcesses(
  binaries: ApiServerBinaries,
  files: ApiServerFiles,
  leftovers: string,
  { flags }: Pick<Audit, 'flags'>,
) {
  const [port = 0, etcdPort = 0, peerPort = 0] = await freePorts(3)
  const url = `https://127.0.0.1:${port}`
  const startEtcd = () => startDaemon(binaries.etcd, etcdFlags(files, etcdPort, peerPort), files.logs.etcd, leftovers)
  const startServer = () =>
    startDaemon(
      binaries.apiServer,
      [...apiServerFlags(files, port, etcdPort), ...flags],
      files.logs.apiServer,
      leftovers,
    )
  let etcd = startEtcd()
  let server = startServer()
  const ready = async () => {
    // The API server goes on saying that it is ready for a while after its store has gone.
    await waitUntil(() => answers(`http://127.0.0.1:${etcdPort}/health`), [etcd, server])
    await waitUntil(() => answers(`${url}/readyz`), [etcd, server])
  }
  return {
    url,
    ready,
    pids: () => [etcd, server].filter((daemon) => daemon.running()).map((daemon) => daemon.pid),
    kill: (signal: NodeJS.Signals) => server.kill(signal),
    async restart() {
      await server.stop()
      server = startServer()
      await ready()
    },
    async stop() {
      await server.stop()
      await etcd.stop()
    },
    etcd: {
      kill: (signal: NodeJS.Signals) => etcd.kill(signal),
      async restart() {
        // A graceful end waits for the API server's watches, which never end. Killing loses nothing: the kernel has it.
        etcd.kill('SIGKILL')
        await etcd.exited
        etcd = startEtcd()
        await ready()
      },
    },
  }
}

async function waitUntil(answered: () => Promise<boolean>, daemons: readonly Daemon[]): Promise<void> {
  const deadline = performance.now() + READY_WITHIN
  while (!(await answered())) {
    const ended = daemons.find((daemon) => !daemon.running())
    if (ended) throw new Error(`a process of the API server ended while starting:\n${ended.log()}`)
    if (performance.now() > deadline) {
      const logs = daemons.map((daemon) => daemon.log()).join('\n')
      throw new Error(`the API server was not ready within ${READY_WITHIN / 1_000} s:\n${logs}`)
    }
    await delay(50)
  }
}

/** Both paths are open to everybody; the certificate signs itself and may not be written yet, so it is not checked. */
function answers(url: string): Promise<boolean> {
  const request = url.startsWith('https') ? https.request : http.request
  return new Promise((resolve) => {
    const probe = request(url, { rejectUnauthorized: false, timeout: 2_000 }, (response) => {
      response.once('error', () => resolve(false))
      response.resume().once('end', () => resolve(response.statusCode === 200))
    })
    probe.once('timeout', () => probe.destroy())
    probe.once('error', () => resolve(false))
    probe.end()
  })
}
