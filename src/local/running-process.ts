import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import type { RunningProcess, RunOwner } from './run-name.ts'

/** This process as the owner of a run directory. */
export function thisProcess(): RunOwner {
  return { pid: process.pid, started: startOf(process.pid), machine: thisMachine() }
}

/** What is known of a process; undefined: there is none, or it has ended and only waits to be collected. */
export function runningProcess(pid: number): RunningProcess | undefined {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it is another user's, so it exists.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return undefined
  }
  const stat = readOr(`/proc/${pid}/stat`)
  return /^[ZX]$/.test(statField(stat, STATE) ?? '') ? undefined : { started: startOf(pid) }
}

/** Fields of /proc/<pid>/stat, counted as in proc(5). */
const STATE = 3
const START_TIME = 22

/** In clock ticks since the machine was started; undefined where there is no /proc. */
function startOf(pid: number): string | undefined {
  const found = statField(readOr(`/proc/${pid}/stat`), START_TIME)
  return found !== undefined && /^\d+$/.test(found) ? found : undefined
}

function statField(stat: string, field: number): string | undefined {
  // The second field is the program's name in parentheses, and may hold spaces and parentheses itself.
  const after = stat.slice(stat.lastIndexOf(')') + 2)
  return stat === '' ? undefined : after.split(' ')[field - STATE]
}

/** A container has a name of its own and a PID namespace of its own; neither changes when the machine is started anew. */
function thisMachine(): string {
  const parts = [hostname(), readOr('/etc/machine-id'), linkOr('/proc/self/ns/pid')]
  return createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 8)
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function linkOr(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
