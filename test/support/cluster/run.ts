import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** A command that could not be started, failed, or took too long. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed'
}

export interface RunOptions {
  /** Added to this process' own environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Written to the command's standard input, which is empty otherwise. */
  readonly input?: string
  readonly cwd?: string
  /** Milliseconds until the command is ended (SIGTERM, then SIGKILL). Default: one minute. */
  readonly timeoutMs?: number
  /** Sees each line of standard error while the command runs. */
  readonly onLine?: (line: string) => void
}

/** How long an ended command may take to go away before it is killed, in milliseconds. */
const KILL_AFTER = 5_000

/** Characters of a failed command's output in the error: enough to see the reason, not enough to bury it. */
const SHOWN = 6_000

/**
 * Runs a program (no shell) and resolves with its standard output.
 * @throws CommandFailed with the command, the exit code and the end of what it said in its message.
 */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { env, input, cwd, timeoutMs = 60_000, onLine } = options
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  let timedOut = false
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  if (onLine) createInterface({ input: child.stderr }).on('line', onLine)
  // A command that exits without reading its input is judged by its exit code, not by the broken pipe.
  child.stdin.on('error', () => {})
  child.stdin.end(input ?? '')

  return new Promise((resolve, reject) => {
    const fail = (reason: string, cause?: unknown) => {
      // Some programs (docker build) say on standard output what went wrong.
      const said = `${stdout.trim().slice(-SHOWN)}\n${stderr.trim().slice(-SHOWN)}`.trim()
      const line = [command, ...args].join(' ')
      reject(new CommandFailed(`${line}: ${reason}${said ? `\n${said}` : ''}`, { cause }))
    }
    const kill = setTimeout(() => child.kill('SIGKILL'), timeoutMs + KILL_AFTER)
    const end = setTimeout(() => {
      timedOut = true
      child.kill('SIGTERM')
    }, timeoutMs)
    const clear = () => {
      clearTimeout(end)
      clearTimeout(kill)
    }
    child.once('error', (error) => {
      clear()
      fail(`could not be started: ${error.message}`, error)
    })
    child.once('close', (code, signal) => {
      clear()
      if (timedOut) return fail(`ended after ${timeoutMs / 1_000} s without an answer`)
      if (code !== 0) return fail(code === null ? `killed by ${signal}` : `exit code ${code}`)
      resolve(stdout)
    })
  })
}

/** Whether the program is on PATH. */
export async function onPath(program: string): Promise<boolean> {
  try {
    await run('sh', ['-c', 'command -v "$0"', program])
    return true
  } catch {
    return false
  }
}
