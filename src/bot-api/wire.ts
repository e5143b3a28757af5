import type { Delivery, Errand } from '../manager/payload-router.ts'
import type { ShardStanding, WorkerCensus } from '../manager/shard-directory.ts'

/** A ShardCluster by its name: whether there is one, nobody has said yet. */
export interface ClusterName {
  readonly namespace: string
  readonly name: string
}

/**
 * The key of a ShardCluster, as far as the API must know it: its sha256. The key itself stays where it was read. `id`
 * tells one reference to a Secret from another.
 */
export type KeyAnswer =
  /** There is no such ShardCluster. */
  | { readonly is: 'none' }
  /** The ShardCluster names no key. */
  | { readonly is: 'disabled' }
  /** The Secret cannot be read now. */
  | { readonly is: 'unreadable'; readonly id: string }
  /** `digest` undefined: the Secret has no such key. */
  | { readonly is: 'known'; readonly id: string; readonly digest: Uint8Array | undefined }

/** A shard on its way to the thread: clocks of two threads have nothing to do with each other. */
export interface SentStanding extends Omit<ShardStanding, 'identifiedAt'> {
  readonly identifiedMsAgo: number | undefined
}

/** The shards of a ShardCluster, counted. */
export interface Census {
  readonly totalShards: number
  readonly states: Readonly<Partial<Record<ShardStanding['state'], number>>>
  readonly workers: readonly WorkerCensus[]
}

/** What became of a payload. */
export interface SendOutcome {
  readonly sent: number
  /** Of the one shard there was, or of any: how long it waited, in milliseconds. */
  readonly waitedMs: number
  readonly failed: readonly Undelivered[]
  readonly failures: number
}
export type Undelivered = Extract<Delivery, { sent: false }>

/** What the server asks of whoever knows the ShardClusters, and what it is answered. */
export interface Wire {
  KEY: { readonly ask: Record<never, never>; readonly answer: KeyAnswer }
  FIND: { readonly ask: Record<never, never>; readonly answer: { readonly bot: string; readonly totalShards: number } }
  /** `count` shards from `first` on, fewer where there are no more; at most FROM_BOTS.pageShards. */
  SHARDS: {
    readonly ask: { readonly first: number; readonly count: number }
    readonly answer: readonly SentStanding[]
  }
  CENSUS: { readonly ask: Record<never, never>; readonly answer: Census }
  /** At most FROM_BOTS.pageShards shards; the answer names `named` of those on which it was not sent, and counts all. */
  SEND: { readonly ask: { readonly errand: Errand; readonly named: number }; readonly answer: SendOutcome }
}

export type Question = {
  [K in keyof Wire]: { readonly type: K; readonly cluster: ClusterName } & Wire[K]['ask']
}[keyof Wire]

/** Why a question was not answered. `BUSY`: too much waits already. */
export interface Refused {
  readonly refused: 'NOT_LEADING' | 'NO_CLUSTER' | 'STARTING' | 'BUSY'
}

/** Asks across to whoever knows; aborting takes back what was not done. */
export type Ask = <K extends keyof Wire>(
  type: K,
  cluster: ClusterName,
  more: Wire[K]['ask'],
  signal?: AbortSignal,
) => Promise<Wire[K]['answer'] | Refused>

/** What the main thread tells the thread: whether there is anybody to ask. */
export interface Told {
  readonly leading: boolean
}

/** `workerData` of the thread. */
export interface ApiThreadData {
  readonly host: string
  readonly port: number
  readonly logLevel: string
}
