import { z } from 'zod'
import { COMMAND_TYPES, type Command, commandSchema } from '../src/protocol/commands.ts'
import { type Failure, failure } from '../src/protocol/failures.ts'

/** Reads a command, or says what is wrong with it. */
export function parseCommand(
  body: unknown,
): { readonly ok: true; readonly command: Command } | { readonly ok: false; readonly failure: Failure } {
  const wrong = (message: string) => ({ ok: false, failure: failure('BAD_REQUEST', message) }) as const
  if (typeof body !== 'string' || body === '') return wrong('the body is empty; send a command as JSON.')
  let json: unknown
  try {
    json = JSON.parse(body)
  } catch (error) {
    return wrong(`the body is not JSON: ${(error as Error).message}`)
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return wrong('the body is not a JSON object.')
  const { type } = json as { type?: unknown }
  if (typeof type !== 'string') return wrong('type: must be the name of a command.')
  if (!(COMMAND_TYPES as readonly string[]).includes(type))
    return { ok: false, failure: failure('UNKNOWN_TYPE', 'Unknown request received.') }
  const parsed = commandSchema.safeParse(json)
  return parsed.success ? { ok: true, command: parsed.data } : wrong(sentenceOf(type, parsed.error))
}

function sentenceOf(type: string, { issues }: z.ZodError): string {
  const [issue] = issues
  const where = issue && issue.path.length > 0 ? z.core.toDotPath(issue.path) : 'the body'
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : ''
  return `${type}: ${where}: ${issue?.message ?? 'is not valid'}${more}`
}
