import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'

/** A background process that ends with the process that started it, however that one ends. */
export interface Daemon {
  readonly pid: number
  /** Whether the process still runs. */
  running(): boolean
  /** Sends a signal; nothing when it has ended. SIGSTOP and SIGCONT make it hang and go on. */
  kill(signal: NodeJS.Signals): void
  /** Ends it (SIGTERM, then SIGKILL after ten seconds) and resolves when it is gone. */
  stop(): Promise<void>
  /** Resolves when it is gone. */
  readonly exited: Promise<void>
  /** The end of what it wrote. */
  log(): string
}

const KILL_AFTER = 10_000

/**
 * Starts a process that writes to the file `logFile`. `leftovers` is a directory that is deleted when this process
 * dies without having stopped the daemon; `environment` is added to this process' own.
 */
export function startDaemon(
  command: string,
  args: readonly string[],
  logFile: string,
  leftovers = '',
  environment: Readonly<Record<string, string>> = {},
): Daemon {
  const output = openSync(logFile, 'a')
  const child = spawn(command, args, {
    stdio: ['ignore', output, output],
    env: { ...process.env, ...environment },
  })
  closeSync(output)
  const { pid } = child
  if (pid === undefined) {
    child.on('error', () => {})
    throw new Error(`${command} could not be started: does it exist, and may it be executed?`)
  }
  const guard = startGuard(pid, leftovers)
  const exited = once(child, 'exit').then(() => void guard.kill('SIGKILL'))
  const running = () => child.exitCode === null && child.signalCode === null
  const kill = (signal: NodeJS.Signals) => {
    if (running()) child.kill(signal)
  }
  return {
    pid,
    running,
    kill,
    exited,
    log: () => readFileSync(logFile, 'utf8').slice(-2_000),
    async stop() {
      kill('SIGCONT')
      kill('SIGTERM')
      const timer = setTimeout(() => kill('SIGKILL'), KILL_AFTER)
      await exited
      clearTimeout(timer)
    },
  }
}

/**
 * Waits for the end of a pipe that only this process holds open: it ends even when this process is killed. In a
 * process group of its own, so that Ctrl-C does not end it before its work is done.
 */
function startGuard(pid: number, leftovers: string): ChildProcess {
  const script = 'read -r _; kill -KILL "$0"; [ -z "$1" ] || { sleep 1; rm -rf "$1"; }'
  const guard = spawn('sh', ['-c', script, String(pid), leftovers], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  guard.unref()
  return guard
}
