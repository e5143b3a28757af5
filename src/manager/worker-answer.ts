import type { Dispatcher } from 'undici'
import type { z } from 'zod'
import { failureSchema } from '../protocol/failures.ts'
import { TooLarge, limitedText as textOf } from './limited-text.ts'
import type { Answer } from './ports.ts'
import { sizeText, type WorkerBound, WorkerBoundError } from './worker-bounds.ts'

/** What an answer is to be. */
export interface Expected<T> {
  readonly schema: z.ZodType<T>
  /** Whether it is about what was asked. */
  readonly about: (answer: T) => boolean
}

/** The whole body as text. @throws WorkerBoundError beyond `bytes`. */
export async function limitedText(body: Dispatcher.ResponseData['body'], bytes: number): Promise<string> {
  return textOf(body, bytes).catch((error: unknown) => {
    if (!(error instanceof TooLarge)) throw error
    throw new WorkerBoundError('Answer', `gave an answer of more than ${sizeText(bytes)}`)
  })
}

/** What the worker said, as a value. */
export function answerOf<T>(status: number, text: string, { schema, about }: Expected<T>): Answer<T> {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return unknown(`answered ${status} with something that is not JSON`)
  }
  if (status !== 200) {
    const failure = failureSchema.safeParse(json)
    return failure.success ? { ok: false, failure: failure.data } : unknown(`answered ${status} without saying why`)
  }
  const answer = schema.safeParse(json)
  if (!answer.success) return unknown('answered 200 with something else than was asked for')
  return about(answer.data)
    ? { ok: true, value: answer.data }
    : unknown('answered with shards that it was not asked about', 'Shards')
}

/** Nobody knows what the worker did. `bound`: it broke one, and is not to be believed. */
export const unknown = (why: string, bound?: WorkerBound): Answer<never> => ({
  ok: false,
  failure: { code: 'UNKNOWN', message: `the worker ${why}`, ...(bound && { bound }) },
})
