import { join } from 'node:path'
import { run } from '../cluster/run.ts'

/** Where the programs of the brokers are. */
export interface ServerPrograms {
  readonly nats: string
  readonly redis: string
  readonly rabbitmq: string
  readonly epmd: string
  /** What the programs from Debian packages need around them. */
  readonly environment: Readonly<Record<string, string>>
}

const BUILD = join(import.meta.dirname, 'build.sh')
/** Half a minute on an idle machine with a near mirror. */
const BUILD_TIMEOUT = 15 * 60_000

let programs: Promise<ServerPrograms> | undefined

/** Builds and fetches what is missing: the first time, half a minute; then nothing. */
export function serverPrograms(): Promise<ServerPrograms> {
  programs ??= build()
  return programs
}

async function build(): Promise<ServerPrograms> {
  const answer = await run('bash', [BUILD], { onLine: (line) => console.error(line), timeoutMs: BUILD_TIMEOUT })
  const at = (key: string) => {
    const found = new RegExp(`^${key}=(.*)$`, 'm').exec(answer)?.[1]
    if (found === undefined) throw new Error(`${BUILD} did not say its ${key}:\n${answer}`)
    return found
  }
  const usr = join(at('DEBIAN'), 'usr')
  const erlang = join(usr, 'lib', 'erlang')
  return {
    nats: join(at('NATS'), 'nats-server'),
    redis: join(usr, 'bin', 'redis-server'),
    rabbitmq: join(usr, 'lib', 'rabbitmq', 'bin', 'rabbitmq-server'),
    epmd: join(erlang, 'bin', 'epmd'),
    environment: {
      LD_LIBRARY_PATH: join(usr, 'lib', `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`),
      SHARDCLUSTER_ERLANG: erlang,
      PATH: `${join(erlang, 'bin')}:${process.env['PATH'] ?? ''}`,
    },
  }
}
