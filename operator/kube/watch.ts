import { z } from 'zod'
import type { Clock } from '../../src/support/clock.ts'
import type { Selection } from './apply.ts'
import type { ApiCall, Transport } from './call.ts'
import { nameOf } from './call.ts'
import { UnavailableError } from './errors.ts'
import type { StoredObject } from './objects.ts'
import { pathOf, type Resource } from './resources.ts'
import { errorFromStatusObject } from './status.ts'

/** One line of a watch. A bookmark only moves the resourceVersion; ERROR lines are thrown. */
export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly object: { readonly metadata: { readonly resourceVersion: string } } }

export interface WatchOptions extends Selection {
  readonly resourceVersion: string
  /** After this time the server ends the watch. */
  readonly timeoutSeconds: number
  /** A watch open this much longer than agreed is dead; it is closed from our side. Milliseconds. */
  readonly graceMs: number
  /** Until it is open, milliseconds. Default: that of the transport. */
  readonly timeoutMs?: number | undefined
  readonly clock: Clock
  readonly signal: AbortSignal
}

const lineSchema = z.object({
  type: z.enum(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']),
  object: z.looseObject({}),
})
const versionSchema = z.looseObject({ metadata: z.looseObject({ resourceVersion: z.string() }) })
const storedSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string(), uid: z.string(), resourceVersion: z.string() }),
})

/**
 * Opens a watch and yields its events until the server ends it, which is a normal end. Throws an ApiError on a failed
 * connection or an ERROR event, or the signal's reason. Leaving the loop closes the connection's stream.
 */
export async function* watch<T extends StoredObject>(
  transport: Transport,
  resource: Resource,
  options: WatchOptions,
): AsyncGenerator<WatchEvent<T>> {
  const { namespace, labelSelector, fieldSelector, resourceVersion, timeoutSeconds, timeoutMs, clock, signal } = options
  const call: ApiCall = {
    method: 'GET',
    path: pathOf(resource, { namespace }),
    query: { watch: true, allowWatchBookmarks: true, labelSelector, fieldSelector, resourceVersion, timeoutSeconds },
    signal,
    timeoutMs,
  }
  const stream = await transport.stream(call)
  const cancel = clock.after(timeoutSeconds * 1_000 + options.graceMs, () => stream.abandon())
  try {
    for await (const line of lines(stream.body)) yield parseLine<T>(call, line)
  } finally {
    cancel()
    stream.close()
  }
}

function parseLine<T extends StoredObject>(call: ApiCall, line: string): WatchEvent<T> {
  const { type, object } = checked(call, () => lineSchema.parse(JSON.parse(line)))
  if (type === 'ERROR') throw errorFromStatusObject(nameOf(call), object)
  if (type === 'BOOKMARK') return { type, object: checked(call, () => versionSchema.parse(object)) }
  checked(call, () => storedSchema.parse(object))
  return { type, object: object as unknown as T }
}

function checked<V>(call: ApiCall, parse: () => V): V {
  try {
    return parse()
  } catch (cause) {
    throw new UnavailableError({ call: nameOf(call), message: 'the watch sent a line that is no watch event', cause })
  }
}

/** Splits into lines. A last line without its newline is a cut connection: half an event is no event. */
export async function* lines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  // An object may take many chunks: they are joined once, at its newline, not at each chunk.
  let parts: string[] = []
  for await (const chunk of chunks) {
    const [head = '', ...rest] = decoder.decode(chunk, { stream: true }).split('\n')
    parts.push(head)
    for (const next of rest) {
      const line = parts.join('')
      parts = [next]
      if (line !== '') yield line
    }
  }
}
