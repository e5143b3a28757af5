import { readFileSync } from 'node:fs'

/** The kernel's USER_HZ, which /proc counts in: 100 on every architecture Node runs on. */
const TICKS_PER_SECOND = 100

/** CPU time that process `pid` has used so far, all threads, user and system, in seconds (in steps of 10 ms). */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name in parentheses may contain spaces: fields are counted from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Memory of a process, in bytes. */
export interface MemoryUse {
  /** Resident pages; the Node binary, which all processes of a machine share, is counted in full. */
  readonly rss: number
  /** The same with shared pages divided among those who share them. */
  readonly pss: number
  /** What would be free again if it ended. */
  readonly own: number
}

export function memoryOf(pid: number): MemoryUse {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? Number.NaN) * 1024
  return { rss: bytes('Rss'), pss: bytes('Pss'), own: bytes('Private_Clean') + bytes('Private_Dirty') }
}

/** Bytes of the mappings of a process that are files: its binary and libraries. */
export function mappedFilesOf(pid: number): number {
  return statusOf(pid, 'RssFile')
}

/** The most resident memory that a process has had since it began, in bytes. */
export function mostRss(pid: number): number {
  return statusOf(pid, 'VmHWM')
}

function statusOf(pid: number, name: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) * 1024
}

/** Bytes that a process read so far: files, pipes, and its sockets, but not its IPC channel. */
export function bytesReadBy(pid: number): number {
  return Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? Number.NaN)
}
