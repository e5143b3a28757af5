/** The process that a run directory belongs to. */
export interface RunOwner {
  readonly pid: number
  /** When it was started, as the system counts it; undefined where the system does not say. */
  readonly started: string | undefined
  /** Where process ids mean the same: this machine, and on Linux this PID namespace. Eight hexadecimal digits. */
  readonly machine: string
}

/** What is known of a process that exists. `started` as in RunOwner. */
export interface RunningProcess {
  readonly started: string | undefined
}

/** What lstat says of an entry of a folder. */
export interface FoundEntry {
  readonly name: string
  readonly isDirectory: boolean
  readonly uid: number
  readonly mode: number
}

const PREFIX = 'shardcluster-run-'
const NAME = /^shardcluster-run-([1-9]\d{0,9})-(\d{1,20}|x)-([0-9a-f]{8})-[A-Za-z0-9]{6}$/

/**
 * How the name of a run's directory begins; mkdtemp adds six characters. The owner is in the name and not in a file, so
 * that there is no moment in which a directory has none.
 */
export function runPrefix({ pid, started, machine }: RunOwner): string {
  return `${PREFIX}${pid}-${started ?? 'x'}-${machine}-`
}

/** Whose directory that is; undefined: it is no run's directory. */
export function runOwner(name: string): RunOwner | undefined {
  const [, pid, started, machine] = NAME.exec(name) ?? []
  if (pid === undefined || started === undefined || machine === undefined) return undefined
  return { pid: Number(pid), started: started === 'x' ? undefined : started, machine }
}

/**
 * Whether a run left this behind and nobody needs it any more. In doubt it is not: what belongs to another user, may be
 * read by others, is a link, or was made where process ids mean something else (a container with the same folder).
 * `running` tells of a process; undefined: there is none with that id.
 */
export function isLeftOver(
  { name, isDirectory, uid, mode }: FoundEntry,
  self: { readonly uid: number; readonly machine: string },
  running: (pid: number) => RunningProcess | undefined,
): boolean {
  const owner = runOwner(name)
  if (!owner || !isDirectory || uid !== self.uid || (mode & 0o077) !== 0) return false
  if (owner.machine !== self.machine) return false
  const process = running(owner.pid)
  if (!process) return true
  // A process id is given again; with the time of its start it is not.
  return owner.started !== undefined && process.started !== undefined && owner.started !== process.started
}
