import { Agent, type Dispatcher, request } from 'undici'
import { z } from 'zod'
import { assignedSchema, type Command, identifiedSchema, releasedSchema } from '../protocol/commands.ts'
import { failureSchema } from '../protocol/failures.ts'
import { payloadSentSchema } from '../protocol/send-payload.ts'
import { type StateRecord, stateRecordSchema } from '../protocol/state.ts'
import type { Answer, WorkerPort } from './ports.ts'

/** Answers are small, but a release carries sessions. Bytes. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024

/**
 * One agent for all workers of a process: connections are kept, and none of undici's own time-outs applies, because
 * an identify may wait for its slot and a state stream is silent by nature; callers bring deadlines. Their number has no
 * limit: payloads that wait for their shard's send limit must not keep an IDENTIFY waiting.
 */
export function workerAgent(): Agent {
  return new Agent({ headersTimeout: 0, bodyTimeout: 0, connect: { timeout: 5_000 } })
}

export interface HttpWorkerOptions {
  /** `http://host:port` of the worker. */
  readonly url: string
  /** The keys that the worker may want, likeliest first, asked for each request; at least one. */
  readonly keys: () => readonly string[]
  /** It wants none of them. */
  readonly onKeysRefused?: () => void
  readonly dispatcher: Dispatcher
}

/** A worker over HTTP: the seed guide's wire. */
export function httpWorker(options: HttpWorkerOptions): WorkerPort {
  const call = async <T>(command: Command, answerSchema: z.ZodType<T>, signal: AbortSignal): Promise<Answer<T>> => {
    try {
      const headers = { 'content-type': 'application/json' }
      const { statusCode, body } = await ask(options, '', {
        ...{ method: 'POST', headers, signal },
        body: JSON.stringify(command),
      })
      return read(statusCode, await limitedText(body), answerSchema)
    } catch (error) {
      return unknown(signal.aborted ? whyAborted(signal) : whyFailed(error))
    }
  }
  return {
    identify: (command, signal) => call({ type: 'IDENTIFY_SHARD', ...command }, identifiedSchema, signal),
    assign: (command, signal) => call({ type: 'ASSIGN_SHARDS', ...command }, assignedSchema, signal),
    release: (command, signal) => call({ type: 'RELEASE_SHARDS', ...command }, releasedSchema, signal),
    send: (command, signal) => call({ type: 'SEND_PAYLOAD', ...command }, payloadSentSchema, signal),
    async watch(onRecord, signal) {
      const { statusCode, body } = await ask(options, '/shards?watch=true', { method: 'GET', signal })
      if (statusCode !== 200)
        throw new Error(`the worker answered ${statusCode} to GET /shards: ${(await limitedText(body)).slice(0, 200)}`)
      for await (const line of linesOf(body)) onRecord(recordOf(line))
    },
  }
}

interface Asked {
  readonly method: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly signal: AbortSignal
}

/** A worker that refuses a key has done nothing of what it was asked: it is asked again with the next. */
async function ask({ url, keys, onKeysRefused, dispatcher }: HttpWorkerOptions, path: string, asked: Asked) {
  const known = keys()
  for (const [index, authorization] of known.entries()) {
    const headers = { ...asked.headers, authorization }
    const response = await request(`${url}${path}`, { ...asked, headers, dispatcher })
    if (response.statusCode !== 401) return response
    if (index === known.length - 1) {
      onKeysRefused?.()
      return response
    }
    await response.body.dump()
  }
  throw new Error('no key for this worker is known')
}

function read<T>(status: number, text: string, answerSchema: z.ZodType<T>): Answer<T> {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return unknown(`answered ${status} with something that is not JSON`)
  }
  if (status === 200) {
    const answer = answerSchema.safeParse(json)
    return answer.success
      ? { ok: true, value: answer.data }
      : unknown('answered 200 with something else than was asked for')
  }
  const failure = failureSchema.safeParse(json)
  return failure.success ? { ok: false, failure: failure.data } : unknown(`answered ${status} without saying why`)
}

const unknown = (why: string): Answer<never> => ({
  ok: false,
  failure: { code: 'UNKNOWN', message: `the worker ${why}` },
})

const whyAborted = (signal: AbortSignal): string =>
  signal.reason instanceof Error && signal.reason.name !== 'AbortError'
    ? `gave ${signal.reason.message}`
    : 'was given up'

const whyFailed = (error: unknown): string => {
  const { code, message } = error as { code?: string; message?: string }
  return `could not be reached (${code ?? message ?? error})`
}

function recordOf(line: string): StateRecord {
  let json: unknown
  try {
    json = JSON.parse(line)
  } catch (cause) {
    throw new Error('the worker streamed something that is not JSON', { cause })
  }
  const record = stateRecordSchema.safeParse(json)
  if (!record.success)
    throw new Error(`the worker streamed something that is no state record: ${z.prettifyError(record.error)}`)
  return record.data
}

/** Not node:readline, which swallows how its input ends: a worker that dies would end the manager's process. */
async function* linesOf(body: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const part of body) {
    rest += decoder.decode(part, { stream: true })
    if (rest.length > MAX_ANSWER_BYTES) throw new Error('the worker streamed a record that is too large')
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') yield line
  }
  if (rest.trim() !== '') throw new Error('the worker ended its state stream in the middle of a record')
}

async function limitedText(body: Dispatcher.ResponseData['body']): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of body as AsyncIterable<Buffer>) {
    size += part.length
    if (size > MAX_ANSWER_BYTES) throw new Error('its answer is too large')
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}
