import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Where everything that outlives a run is kept; `lib.sh` of the kit uses the same place. */
export function cacheDirectory(): string {
  return process.env['SHARDCLUSTER_CACHE'] || join(homedir(), '.cache', 'shardcluster')
}

/** A file of the cluster `name`: its kubeconfig, its claim. */
export function clusterFile(name: string, extension: 'kubeconfig' | 'claim'): string {
  const directory = join(cacheDirectory(), 'clusters')
  mkdirSync(directory, { recursive: true })
  return join(directory, `${name}.${extension}`)
}

/** Two runs want the same cluster at the same time. */
export class ClusterBusy extends Error {
  override readonly name = 'ClusterBusy'
}

/**
 * Names this process as the holder of the cluster, so that a second run does not delete it meanwhile and the engine
 * is not stopped under it. The claim of a process that no longer lives is taken over. The kit reads the same file.
 * @throws ClusterBusy when another living process holds it.
 */
export function claimCluster(name: string): void {
  const file = clusterFile(name, 'claim')
  const holder = read(file)
  if (holder && holder !== 'kept' && holder !== identity(process.pid) && isLive(holder)) {
    throw new ClusterBusy(`the cluster ${name} is in use by process ${holder.split(' ')[0]}: wait for it, or end it`)
  }
  rmSync(file, { force: true })
  try {
    // "wx": of two processes that both found it free, one gets it.
    writeFileSync(file, identity(process.pid), { flag: 'wx' })
  } catch (error) {
    throw new ClusterBusy(`the cluster ${name} was claimed by another process just now`, { cause: error })
  }
}

/** Hands the cluster on to whoever comes next: it stays, with its engine, until somebody takes it down. */
export function keepClaim(name: string): void {
  writeFileSync(clusterFile(name, 'claim'), 'kept')
}

/** Ends the claim. */
export function dropClaim(name: string): void {
  rmSync(clusterFile(name, 'claim'), { force: true })
}

/** The process id and, where the system tells it, its start time: ids are used again, pairs are not. */
function identity(pid: number): string {
  // The command name in the second field may hold spaces and parentheses.
  const startTime = read(`/proc/${pid}/stat`)
    ?.replace(/^.*\) /s, '')
    .split(' ')[19]
  return `${pid} ${startTime ?? ''}`.trim()
}

function isLive(holder: string): boolean {
  const pid = Number(holder.split(' ')[0])
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  return identity(pid) === holder
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return undefined
  }
}
