import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino'

export type { Logger } from 'pino'

/** Paths that may hold a secret, whoever logs them: the last line of defence, not the first. */
const SECRET_PATHS = ['token', 'authorization', 'Authorization'].flatMap((key) => [key, `*.${key}`, `*.*.${key}`])

/**
 * A JSON logger with the process' role on each line. `level` as in pino (`trace` ... `fatal`, `silent`).
 * Logs go to standard error: standard output is for what a command answers.
 */
export function createLogger(name: string, level = 'info', destination?: DestinationStream): Logger {
  const options: LoggerOptions = {
    name,
    level,
    redact: { paths: SECRET_PATHS, censor: '[redacted]' },
    formatters: { level: (label) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
    base: { pid: process.pid },
  }
  return pino(options, destination ?? standardError())
}

/** Nobody reads it any more (a terminal that was closed): what runs goes on, and ends as it should. */
function standardError(): DestinationStream {
  const stream = pino.destination({ dest: 2, sync: true })
  stream.on('error', () => {})
  return stream
}
