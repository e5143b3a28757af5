import { createHash } from 'node:crypto'
import { FROM_BOTS, FROM_THREADS } from '../limits.ts'
import { type Delivery, deliver } from '../manager/payload-router.ts'
import type { ShardDirectory, ShardStanding } from '../manager/shard-directory.ts'
import type { Clock } from '../support/clock.ts'
import { FairTurns, type Steps } from '../support/fair-turns.ts'
import type { Logger } from '../support/logger.ts'
import type { ApiSource, ApiTarget } from './source.ts'
import type {
  Census,
  ClusterName,
  KeyAnswer,
  Question,
  Refused,
  SendOutcome,
  SentStanding,
  Undelivered,
} from './wire.ts'

export interface DeskOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly turns?: FairTurns
}

interface Known {
  readonly directory: ShardDirectory
  readonly totalShards: number
}

/** Whoever has no key yet is one of many, and shares one turn with them: names cost nothing to make up. */
const STRANGERS = 'strangers'

/**
 * Where the thread of the API asks, in the event loop that holds the Lease and the slots of IDENTIFYs: in steps of a
 * bounded length, in fair turns between ShardClusters, and only so much at once.
 */
export class Desk {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #turns: FairTurns
  /** What was wrong with a key when it was asked for last: said once, not once a question. */
  readonly #troubles = new Map<string, string>()
  #source: ApiSource | undefined

  constructor({ clock, logger, turns = new FairTurns(FROM_THREADS) }: DeskOptions) {
    this.#clock = clock
    this.#logger = logger
    this.#turns = turns
  }

  get leading(): boolean {
    return this.#source !== undefined
  }

  /** Answers for these ShardClusters. @returns what ends that. */
  serve(source: ApiSource): () => void {
    this.#source = source
    return () => {
      if (this.#source !== source) return
      this.#source = undefined
      this.#troubles.clear()
    }
  }

  async answer(question: Question, signal: AbortSignal): Promise<unknown> {
    const { type, cluster } = question
    const owner = type === 'KEY' ? STRANGERS : `${cluster.namespace}/${cluster.name}`
    return this.#turns.run(owner, this.#steps(question, signal)) ?? refused('BUSY')
  }

  *#steps(question: Question, signal: AbortSignal): Steps<unknown> {
    if (!this.#source) return refused('NOT_LEADING')
    const { namespace, name } = question.cluster
    const target = this.#source.find(namespace, name)
    if (question.type === 'KEY') return this.#key(target)
    if (!target) return refused('NO_CLUSTER')
    const { bot, directory } = target
    const totalShards = directory?.totalShards
    if (!directory || bot === undefined || totalShards === undefined) return refused('STARTING')
    const known = { directory, totalShards }
    switch (question.type) {
      case 'FIND':
        return { bot, totalShards }
      case 'SHARDS':
        return yield* this.#shards(known, question.first, question.count)
      case 'CENSUS':
        return yield* census(known)
      case 'SEND':
        return outcomeOf(deliver(directory, question.errand, signal), question.named)
    }
  }

  async #key(target: ApiTarget | undefined): Promise<KeyAnswer> {
    if (!target) return { is: 'none' }
    const { key } = target
    if (!key) return { is: 'disabled' }
    try {
      const value = await key.read()
      if (value) this.#troubles.delete(key.id)
      else this.#cannotRead(target, key.id, 'spec.api.authorizationSecretRef leads to no key')
      const digest = value ? createHash('sha256').update(value).digest() : undefined
      return { is: 'known', id: key.id, digest }
    } catch (error) {
      this.#cannotRead(target, key.id, 'cannot read the key of the bot API', error)
      return { is: 'unreadable', id: key.id }
    }
  }

  #cannotRead({ namespace, name }: ClusterName, id: string, problem: string, err?: unknown): void {
    if (this.#troubles.get(id) === problem) return
    this.#troubles.set(id, problem)
    this.#logger.warn({ ...(err !== undefined && { err }), cluster: `${namespace}/${name}` }, problem)
  }

  *#shards({ directory, totalShards }: Known, first: number, count: number): Steps<SentStanding[]> {
    const end = Math.min(totalShards, first + Math.min(count, FROM_BOTS.pageShards))
    const standings: SentStanding[] = []
    for (let shardId = first; shardId < end; shardId++) {
      if (shardId > first && (shardId - first) % FROM_THREADS.shardsPerTurn === 0) yield
      standings.push(this.#sent(directory.standing(shardId)))
    }
    return standings
  }

  #sent({ identifiedAt, closeReason, ...standing }: ShardStanding): SentStanding {
    return {
      ...standing,
      closeReason: closeReason?.slice(0, FROM_BOTS.reasonLength),
      identifiedMsAgo: identifiedAt === undefined ? undefined : this.#clock.now() - identifiedAt,
    }
  }
}

const refused = (why: Refused['refused']): Refused => ({ refused: why })

function* census({ directory, totalShards }: Known): Steps<Census> {
  const { states, workers } = yield* directory.census(totalShards, FROM_THREADS.shardsPerTurn)
  return { totalShards, states, workers }
}

async function outcomeOf(delivering: Promise<readonly Delivery[]>, named: number): Promise<SendOutcome> {
  const deliveries = await delivering
  const failed = deliveries.filter((delivery): delivery is Undelivered => !delivery.sent)
  const [first] = deliveries
  return {
    sent: deliveries.length - failed.length,
    waitedMs: first?.sent ? first.waitedMs : 0,
    failed: failed.slice(0, named),
    failures: failed.length,
  }
}
