import { join } from 'node:path'
import { run } from '../cluster/run.ts'

/** Three minutes on an idle machine of two cores. */
const BUILD_TIMEOUT = 25 * 60_000

/** Runs a script of this directory, which makes what is missing. @returns the directory that it names in the end. */
const made = async (script: string): Promise<string> => {
  const options = { onLine: (line: string) => console.error(line), timeoutMs: BUILD_TIMEOUT }
  const said = await run('bash', [join(import.meta.dirname, script)], options)
  return said.trim().split('\n').at(-1) ?? ''
}

let program: Promise<string> | undefined

/** Runs promtool, which is compiled the first time. Rejects with CommandFailed. */
export async function promtool(args: readonly string[], input?: string): Promise<string> {
  program ??= made('build.sh').then((directory) => join(directory, 'promtool'))
  return await run(await program, args, input === undefined ? {} : { input })
}

/** A directory with the CRDs of the Prometheus operator: ServiceMonitor, PodMonitor, PrometheusRule. */
export const prometheusCrds = (): Promise<string> => made('crds.sh')
