import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { RunDirectory } from '../../../src/local/run-directory.ts'
import { httpWorker, workerAgent } from '../../../src/manager/http-worker.ts'
import type { Answer } from '../../../src/manager/ports.ts'
import type { GatewayOptions } from '../../../src/protocol/commands.ts'
import type { SinkSettings } from '../../../src/protocol/sink-settings.ts'
import { WORKER_RUNTIME, workerEnvironment } from '../../../src/protocol/worker-settings.ts'
import { Child } from './child.ts'
import { forEach } from './until.ts'

const FILE = new URL('../../../sharder/main.ts', import.meta.url)
/** The same that local mode uses. */
export const COMPILE_CACHE = fileURLToPath(new URL('../../../node_modules/.cache/compile', import.meta.url))
const IDENTIFY_TIMEOUT_MS = 120_000
/** Shards that start at once: what Discord lets a bot of max_concurrency 16 do. */
const AT_ONCE = 16

export interface SharderOptions {
  readonly directory: RunDirectory
  readonly token: string
  readonly sink: SinkSettings
  readonly shards: number
  readonly gateway: GatewayOptions
  /** A certificate authority in PEM that the sharder trusts too. */
  readonly certificateAuthority?: string
  /** 1 by default. */
  readonly threads?: number
}

/** Fills the compile cache, as the image does when it is built. */
export function compileOnce(): void {
  const program = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url))
  const environment = { ...process.env, NODE_COMPILE_CACHE: COMPILE_CACHE }
  execFileSync(process.execPath, [program, 'compile-cache'], { env: environment, stdio: 'inherit' })
}

/** One sharder process that holds all shards of a bot, as the manager would drive it, but without its schedule. */
export async function startSharder(options: SharderOptions): Promise<Child> {
  const { directory, token, sink, certificateAuthority: ca, threads = 1 } = options
  const authorization = 'bench'
  const child = await Child.start(FILE, {
    env: {
      ...(ca !== undefined && { NODE_EXTRA_CA_CERTS: directory.secret('ca.pem', ca) }),
      // As in the image and in local mode.
      NODE_COMPILE_CACHE: COMPILE_CACHE,
      ...WORKER_RUNTIME,
      ...workerEnvironment({
        workerId: 0,
        host: '127.0.0.1',
        port: 0,
        threads,
        tokenFile: directory.secret('token', token),
        authorizationFile: directory.secret('authorization', authorization),
        sinks: [sink],
        gatewayHosts: ['ws://127.0.0.1', 'ws://localhost'],
        logLevel: 'warn',
        graceSeconds: 30,
      }),
    },
  })
  try {
    await identifyAll(`http://127.0.0.1:${(child.said as { listening: number }).listening}`, authorization, options)
  } catch (error) {
    await child.stop()
    throw error
  }
  return child
}

async function identifyAll(url: string, authorization: string, { shards, gateway }: SharderOptions): Promise<void> {
  const dispatcher = workerAgent()
  const worker = httpWorker({ url, keys: () => [authorization], dispatcher })
  const signal = AbortSignal.timeout(IDENTIFY_TIMEOUT_MS)
  const command = { epoch: 1, totalShards: shards, first: 0, last: shards - 1, withhold: [], sessions: [], gateway }
  check(await worker.assign(command, signal))
  const shardIds = Array.from({ length: shards }, (_, shardId) => shardId)
  await forEach(shardIds, AT_ONCE, async (shardId) =>
    check(await worker.identify({ shardId, epoch: 1, slotInMs: 0 }, signal)),
  )
  await dispatcher.destroy()
}

function check(answer: Answer<unknown>): void {
  if (!answer.ok) throw new Error(`the sharder refused: ${answer.failure.code}: ${answer.failure.message}`)
}
