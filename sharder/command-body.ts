import { z } from 'zod'
import { FROM_MANAGER, MAX_FOREIGN_TEXT } from '../src/limits.ts'
import { COMMAND_TYPES, type Command, type CommandType, commandSchema } from '../src/protocol/commands.ts'
import { type Failure, failure } from '../src/protocol/failures.ts'
import { nestsWithin } from '../src/support/json-depth.ts'

type Parsed = { readonly ok: true; readonly command: Command } | { readonly ok: false; readonly failure: Failure }

/** Reads a command, or says what is wrong with it. `body` has at most FROM_MANAGER.bodyBytes. */
export function parseCommand(body: unknown): Parsed {
  if (typeof body !== 'string' || body === '') return wrong('the body is empty; send a command as JSON.')
  const { depth } = FROM_MANAGER
  if (!nestsWithin(body, depth)) return wrong(`the body nests more than ${depth} arrays and objects.`)
  let json: unknown
  try {
    json = JSON.parse(body)
  } catch {
    return wrong('the body is not JSON.')
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return wrong('the body is not a JSON object.')
  const { type } = json as { type?: unknown }
  if (typeof type !== 'string') return wrong('type: must be the name of a command.')
  if (!isType(type)) return { ok: false, failure: failure('UNKNOWN_TYPE', 'Unknown request received.') }
  const most = type === 'ASSIGN_SHARDS' ? FROM_MANAGER.bodyBytes : FROM_MANAGER.smallBodyBytes
  if (Buffer.byteLength(body) > most)
    return { ok: false, failure: failure('TOO_LARGE', `${type}: the body is larger than ${most} bytes.`) }
  const parsed = commandSchema.safeParse(json)
  return parsed.success ? { ok: true, command: parsed.data } : wrong(sentenceOf(type, parsed.error))
}

const isType = (type: string): type is CommandType => (COMMAND_TYPES as readonly string[]).includes(type)

const wrong = (message: string): Parsed => ({
  ok: false,
  failure: failure('BAD_REQUEST', message.slice(0, MAX_FOREIGN_TEXT)),
})

function sentenceOf(type: string, { issues }: z.ZodError): string {
  const [issue] = issues
  const where = issue && issue.path.length > 0 ? z.core.toDotPath(issue.path) : 'the body'
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : ''
  return `${type}: ${where}: ${issue?.message ?? 'is not valid'}${more}`
}
