import type { z } from 'zod'
import type { Clock } from '../support/clock.ts'
import type { ApiErrorCode } from './errors.ts'
import type { MembersLimit } from './members-limit.ts'
import type { clusterParams } from './schemas.ts'
import type { Large } from './shares.ts'
import type { Summaries } from './summaries.ts'
import type { Wire } from './wire.ts'

/** The ShardCluster that a request is about, authorized. */
export interface Context {
  readonly namespace: string
  readonly name: string
  readonly bot: string
  readonly totalShards: number
  readonly members: MembersLimit
  readonly summaries: Summaries
  readonly clock: Clock
  /** Asks about this ShardCluster. @throws ApiError when nobody answers. */
  ask<K extends keyof Wire>(type: K, more: Wire[K]['ask'], signal?: AbortSignal): Promise<Wire[K]['answer']>
  /** Counts so many pages of shards, the first of which was counted already. @throws ApiError when that is too much. */
  charge(pages: number): void
  /** Aborted when the caller has hung up. */
  readonly signal: AbortSignal
}

/** A value, or its JSON, and the HTTP status that it is answered with. */
export interface Answered<T> {
  readonly status: number
  readonly body: T | Buffer
}

/** One route: all that the server, and the description of it, are made of. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT'
  /** As in OpenAPI, such as `/v1/shardclusters/{namespace}/{name}`. */
  readonly path: string
  readonly operationId: string
  readonly summary: string
  readonly description: string
  readonly params: z.ZodType<z.output<typeof clusterParams>> & z.ZodObject
  readonly query: z.ZodObject
  readonly body: z.ZodType | undefined
  /** The answer of each status that is a success. */
  readonly answers: Readonly<Record<number, z.ZodType>>
  /** How it may fail, besides what every route may. */
  readonly errors: readonly ApiErrorCode[]
  /** It is about all shards: a ShardCluster may have only a few of these under way. undefined: it is not. */
  readonly large: Large | undefined
  handle(input: { params: unknown; query: unknown; body: unknown }, context: Context): Promise<Answered<unknown>>
}

interface Definition<P extends Route['params'], Q extends z.ZodObject, B extends z.ZodType, A> {
  readonly method: Route['method']
  readonly path: string
  readonly operationId: string
  readonly summary: string
  readonly description: string
  readonly params: P
  readonly query: Q
  readonly body?: B
  readonly answers: Readonly<Record<number, z.ZodType<A>>>
  readonly errors: readonly ApiErrorCode[]
  readonly large?: Large
  readonly handle: (
    input: { readonly params: z.output<P>; readonly query: z.output<Q>; readonly body: z.output<B> },
    context: Context,
  ) => Promise<Answered<A>>
}

/** A route whose handler sees what its schemas let through. */
export function route<P extends Route['params'], Q extends z.ZodObject, B extends z.ZodType, A>(
  definition: Definition<P, Q, B, A>,
): Route {
  return { body: undefined, large: undefined, ...definition } as unknown as Route
}
