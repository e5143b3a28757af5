import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { clusterFile } from './cache.ts'
import { run } from './run.ts'

/** Receives one line of progress at a time, without line end. */
export type Log = (line: string) => void

const KIT = join(import.meta.dirname, '..', 'kind', 'kit.sh')

/** A cold build compiles Kubernetes: a quarter of an hour on two cores, and several times that on a busy machine. */
const BUILD_TIMEOUT = 90 * 60_000

/** What a running engine of the kit offers. */
export interface KitEngine {
  readonly dockerHost: string
  readonly docker: string
  readonly binaries: string
  readonly nodeImage: string
  /** The address at which the engine's side reaches this machine. */
  readonly hostAddress: string
  /** The address at which this machine reaches the engine's side. */
  readonly engineAddress: string
}

/** Builds (or finds) programs of the kit, for example `kube-apiserver`, and answers the directory they are in. */
export async function kitBinaries(names: readonly string[], log: Log): Promise<string> {
  return (await kit(['binaries', ...names], log)).trim()
}

/** Builds what is missing and starts the engine with the node image loaded. Hold a claim before, or it may stop. */
export async function kitUp(log: Log): Promise<KitEngine> {
  const answer = await kit(['up'], log)
  const values = new Map(answer.split('\n').map((line): [string, string] => splitOnce(line)))
  const value = (key: string) => {
    const found = values.get(key)
    if (!found) throw new Error(`the kind kit did not say its ${key}:\n${answer}`)
    return found
  }
  return {
    dockerHost: value('DOCKER_HOST'),
    docker: value('DOCKER'),
    binaries: value('BIN'),
    nodeImage: value('NODE_IMAGE'),
    hostAddress: value('HOST_ADDRESS'),
    engineAddress: value('ENGINE_ADDRESS'),
  }
}

/** Makes the stand-in for the official Node image and answers its name. The engine must be up. */
export async function kitBaseImage(nodeBinary: string, npmDirectory: string, log: Log): Promise<string> {
  return (await kit(['base', nodeBinary, npmDirectory], log)).trim()
}

/** Stops the engine unless a living process or a kept cluster claims it. */
export async function kitRelease(log: Log): Promise<void> {
  await kit(['release'], log)
}

/**
 * Leaves a process behind that ends the engine once this one is gone without having said so (kill -9, a lost
 * terminal). It ends by itself as soon as the claim is dropped or kept.
 */
export function watchClaim(name: string): void {
  const args = [KIT, 'watch', String(process.pid), clusterFile(name, 'claim')]
  spawn('bash', args, { detached: true, stdio: 'ignore' }).unref()
}

function kit(args: readonly string[], log: Log): Promise<string> {
  return run('bash', [KIT, ...args], { onLine: log, timeoutMs: BUILD_TIMEOUT })
}

function splitOnce(line: string): [string, string] {
  const at = line.indexOf('=')
  return [line.slice(0, at), line.slice(at + 1)]
}
