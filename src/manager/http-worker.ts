import { Agent, type Dispatcher, request } from 'undici'
import { FROM_WORKERS } from '../limits.ts'
import {
  assignedSchema,
  type Command,
  identifiedSchema,
  type ReleaseShards,
  releasedSchema,
} from '../protocol/commands.ts'
import { failure } from '../protocol/failures.ts'
import { payloadSentSchema, type SendPayload } from '../protocol/send-payload.ts'
import { type Clock, systemClock } from '../support/clock.ts'
import { foreignText } from '../support/text.ts'
import type { Answer, WorkerPort } from './ports.ts'
import { readRecords } from './state-records.ts'
import { answerOf, type Expected, limitedText, unknown } from './worker-answer.ts'
import { answerBytes, WorkerBoundError } from './worker-bounds.ts'

/**
 * One agent for all workers of a process: connections are kept, and none of undici's own time-outs applies, because
 * an identify may wait for its slot and a state stream is silent by nature; callers bring deadlines.
 * A worker takes a connection for its stream and one for each request under way, and nothing ever waits for one here: an
 * IDENTIFY that did would come after its slot. What is beyond the bounds of httpWorker is refused instead, payloads by a
 * bound of their own, so that those that wait for their shard's send limit cannot take the place of an IDENTIFY.
 */
export function workerAgent(): Agent {
  const connections = 2 + FROM_WORKERS.commands + FROM_WORKERS.payloads
  return new Agent({ headersTimeout: 0, bodyTimeout: 0, connect: { timeout: 5_000 }, connections })
}

export interface HttpWorkerOptions {
  /** `http://host:port` of the worker. */
  readonly url: string
  /** The keys that the worker may want, likeliest first, asked for each request; at least one. */
  readonly keys: () => readonly string[]
  /** It wants none of them. */
  readonly onKeysRefused?: () => void
  readonly dispatcher: Dispatcher
  /** Default: the machine's. */
  readonly clock?: Clock
}

/** What answers a command, and how many shards the command names. */
interface Ask<T> extends Expected<T> {
  readonly command: Command
  readonly named: number
}

/** A worker over HTTP: the seed guide's wire. It is believed nothing that an honest one would not say. */
export function httpWorker(options: HttpWorkerOptions): WorkerPort {
  const commands = withRoom(FROM_WORKERS.commands, 'commands')
  const payloads = withRoom(FROM_WORKERS.payloads, 'payloads')
  const call = async <T>({ command, named, ...expected }: Ask<T>, signal: AbortSignal): Promise<Answer<T>> => {
    try {
      const headers = { 'content-type': 'application/json' }
      const { statusCode, body } = await ask(options, '', {
        ...{ method: 'POST', headers, signal },
        body: JSON.stringify(command),
      })
      return answerOf(statusCode, await limitedText(body, answerBytes(statusCode === 200 ? named : 0)), expected)
    } catch (error) {
      if (error instanceof WorkerBoundError) return unknown(error.message, error.bound)
      return unknown(signal.aborted ? whyAborted(signal) : whyFailed(error))
    }
  }
  return {
    identify(command, signal) {
      const about = ({ shardId }: { shardId: number }) => shardId === command.shardId
      const asked = {
        command: { type: 'IDENTIFY_SHARD', ...command },
        named: 0,
        schema: identifiedSchema,
        about,
      } as const
      return commands(() => call(asked, signal))
    },
    assign(command, signal) {
      const asked = { command: { type: 'ASSIGN_SHARDS', ...command }, named: 0, schema: assignedSchema } as const
      return commands(() => call({ ...asked, about: () => true }, signal))
    },
    release: (command, signal) => commands(() => call(releaseOf(command), signal)),
    send: (command, signal) => payloads(() => call(sendOf(command), signal)),
    async watch(onRecord, signal, shards = () => FROM_WORKERS.shardsNamed) {
      const { statusCode, body } = await ask(options, '/shards?watch=true', { method: 'GET', signal })
      if (statusCode !== 200) {
        const said = foreignText(await limitedText(body, answerBytes(0)), 200)
        throw new Error(`the worker answered ${statusCode} to GET /shards: ${said}`)
      }
      await readRecords(body, onRecord, { clock: options.clock ?? systemClock, shards, signal })
    },
  }
}

function releaseOf(command: Omit<ReleaseShards, 'type'>) {
  const asked = new Set(command.shardIds)
  return {
    ...({ command: { type: 'RELEASE_SHARDS', ...command }, named: asked.size, schema: releasedSchema } as const),
    about: ({ released, sessions }: { released: readonly number[]; sessions: readonly { shardId: number }[] }) =>
      released.every((shardId) => asked.has(shardId)) && sessions.every(({ shardId }) => asked.has(shardId)),
  }
}

function sendOf(command: Omit<SendPayload, 'type'>) {
  const asked = new Set(command.shardIds)
  return {
    ...({ command: { type: 'SEND_PAYLOAD', ...command }, named: asked.size, schema: payloadSentSchema } as const),
    about: ({ results }: { results: readonly { shardId: number }[] }) =>
      results.every(({ shardId }) => asked.has(shardId)),
  }
}

/** Runs at most `most` requests at once. One beyond is refused at once: nothing was sent, and no IDENTIFY was spent. */
function withRoom(most: number, what: string) {
  let under = 0
  return async <T>(call: () => Promise<Answer<T>>): Promise<Answer<T>> => {
    if (under >= most)
      return { ok: false, failure: failure('CONNECT_FAILED', `${most} ${what} to this worker wait for its answer.`) }
    under++
    try {
      return await call()
    } finally {
      under--
    }
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

const whyAborted = (signal: AbortSignal): string =>
  signal.reason instanceof Error && signal.reason.name !== 'AbortError'
    ? `gave ${signal.reason.message}`
    : 'was given up'

const whyFailed = (error: unknown): string => {
  const { code, message } = error as { code?: string; message?: string }
  return `could not be reached (${code ?? message ?? error})`
}
