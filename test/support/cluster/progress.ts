import type { Log } from './kit.ts'

/** Lines on standard error with the seconds since now: a first build takes minutes, and nobody should wait blindly. */
export function progressLog(subject: string): Log {
  const started = performance.now()
  return (line) => {
    const seconds = ((performance.now() - started) / 1_000).toFixed(0).padStart(4)
    process.stderr.write(`${subject} ${seconds} s  ${line}\n`)
  }
}
