import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino'
import { MAX_FOREIGN_TEXT } from '../limits.ts'
import { cutText } from './text.ts'

export type { Logger } from 'pino'

/** Paths that may hold a secret, whoever logs them: the last line of defence, not the first. */
const SECRET_PATHS = ['token', 'authorization', 'Authorization'].flatMap((key) => [key, `*.${key}`, `*.*.${key}`])

/** Fields of fields whose texts are cut; what lies deeper is left out. */
const FIELD_DEPTH = 4

/** Items of a list, and fields of an object, that are logged. */
const FIELDS = 64

/**
 * A JSON logger with the process' role on each line. `level` as in pino (`trace` ... `fatal`, `silent`).
 * Logs go to standard error: standard output is for what a command answers. A line is written at once, so each text in
 * it is cut: whatever another process says could be megabytes, and the process would stand still for seconds.
 */
export function createLogger(name: string, level = 'info', destination?: DestinationStream): Logger {
  const options: LoggerOptions = {
    name,
    level,
    redact: { paths: SECRET_PATHS, censor: '[redacted]' },
    formatters: { level: (label) => ({ level: label }), log: (fields) => cutFields(fields, FIELD_DEPTH) },
    serializers: { err: (err: unknown) => cut(pino.stdSerializers.err(err as Error), FIELD_DEPTH) },
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

function cutFields(fields: Readonly<Record<string, unknown>>, depth: number): Record<string, unknown> {
  const kept: Record<string, unknown> = {}
  for (const key of Object.keys(fields).slice(0, FIELDS)) kept[cutText(key)] = cut(fields[key], depth)
  return kept
}

function cut(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return cutText(value, MAX_FOREIGN_TEXT)
  // An error is not plain before its serializer made it so; that cuts as well.
  if (typeof value !== 'object' || value === null || value instanceof Error) return value
  if (depth === 0) return '[deeper]'
  if (Array.isArray(value)) return value.slice(0, FIELDS).map((item) => cut(item, depth - 1))
  const { toJSON } = value as { toJSON?: () => unknown }
  return typeof toJSON === 'function' ? cut(toJSON.call(value), depth - 1) : cutFields({ ...value }, depth - 1)
}
