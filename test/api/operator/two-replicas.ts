import { expect } from 'vitest'
import type { Lease } from '../../../operator/kube/lease.ts'
import { leases } from '../../../operator/kube/resources.ts'
import { type SampleBot, startSampleBot } from '../../../src/local/sample-bot.ts'
import { grantRights, LEASE } from './operator-process.ts'
import { isLease, isWrite, type Replica, startReplica } from './replica.ts'
import { SharderProcess } from './sharder-process.ts'
import { type Bot, eventually, type OperatorWorld, startWorldOf } from './world.ts'

const KEY = 'events-key'
/** Over all shards of both bots. */
const EVENTS_PER_SECOND = 40
/** Longer than a Lease lasts, whatever else the machine does. */
const LIMIT_MS = 90_000

/** Seconds from what befell the leader. */
export interface Succession {
  readonly 'successor leads': number
  readonly 'first write': number
  readonly 'all carried out': number
}

const inSeconds = (ms: number) => Math.round(ms / 100) / 10

/** Operators and sharders as processes, two bots with traffic flowing, and a line of its own for each operator. */
export class TwoReplicas {
  readonly world: OperatorWorld<SharderProcess>
  /** What is scaled. */
  readonly bot: Bot
  readonly replicas: Replica[] = []
  readonly #neighbour: Bot
  readonly #ends: readonly SampleBot[]

  /** `first` leads and `second` follows; both bots are Ready. */
  static async start(): Promise<TwoReplicas> {
    const world = await startWorldOf((start) => SharderProcess.start(start))
    await grantRights(world.server)
    const ends = [await sampleBot(), await sampleBot()] as const
    const [bot, neighbour] = [await world.bot(), await world.bot()]
    const all = new TwoReplicas(world, bot, neighbour, ends)
    await all.replica('first')
    await eventually(async () => expect(await all.holder()).toBe('first'))
    await all.replica('second')
    await create(bot, ends[0])
    await create(neighbour, ends[1])
    for (const { wait } of [bot, neighbour]) await wait('Ready', 'True', 90)
    world.simulator.control('events-per-second', { value: EVENTS_PER_SECOND })
    return all
  }

  private constructor(world: OperatorWorld<SharderProcess>, bot: Bot, neighbour: Bot, ends: readonly SampleBot[]) {
    this.world = world
    this.bot = bot
    this.#neighbour = neighbour
    this.#ends = ends
  }

  async close(): Promise<void> {
    for (const { close } of this.replicas) await close()
    await this.world.close()
    for (const end of this.#ends) await end.close()
  }

  /** Another one, with its caches warm. */
  async replica(name: string): Promise<Replica> {
    const started = await startReplica(this.world.server, name)
    this.replicas.push(started)
    await eventually(async () => expect(await started.metric('reflector_watches_total')).toHaveLength(5))
    return started
  }

  named(name: string | undefined): Replica {
    const found = this.replicas.find((one) => one.name === name)
    if (!found) throw new Error(`no replica is called ${name}`)
    return found
  }

  async lease(): Promise<Lease['spec']> {
    const key = { namespace: 'default', name: LEASE }
    return (await this.world.client.get<Lease & { apiVersion: string }>(leases, key))?.spec ?? {}
  }

  async term(): Promise<number> {
    return (await this.lease()).leaseTransitions ?? 0
  }

  /** The name of the replica that holds the Lease. */
  async holder(): Promise<string | undefined> {
    return (await this.lease()).holderIdentity?.replace(/_.*/, '')
  }

  async leader(): Promise<Replica> {
    return this.named(await this.holder())
  }

  sharders(): SharderProcess[] {
    const ours = [...this.world.kubelet.workers].filter(([key]) => key.startsWith(`${this.bot.namespace}/`))
    return ours.map(([, worker]) => worker)
  }

  /** The last epoch that each of the bot's sharders obeyed. */
  epochs(): Promise<number[]> {
    return Promise.all(
      this.sharders().map(async (worker) => {
        const record = await worker.snapshot()
        return record.type === 'SNAPSHOT' ? record.epoch : 0
      }),
    )
  }

  scale(workers: number): Promise<string> {
    return this.bot.kubectl('scale', 'shc/bot', `--replicas=${workers}`)
  }

  /** Each of so many workers holds its share of the shards. */
  async scaledTo(workers: number): Promise<void> {
    await eventually(async () => expect(await this.bot.held()).toEqual(shares(workers)), LIMIT_MS)
  }

  /** Nothing was lost, nothing held twice, and no session begun anew, by whomever. */
  sound(): Promise<void> {
    return eventually(() => {
      for (const one of [this.bot, this.#neighbour])
        expect(one.discord()).toMatchObject({
          identifies: 8,
          connectedShards: 8,
          resumesRefused: 0,
          violationDetails: [],
        })
      for (const end of this.#ends) expect(end.stats()).toMatchObject({ lost: 0, sessions: 8 })
    })
  }

  /** Calls so far that are no business of the Lease. */
  callsBesidesLease(): number {
    return this.replicas.flatMap(({ calls }) => calls.filter((seen) => !isLease(seen))).length
  }

  /** Another one than `leader` takes the Lease, not before it has run out, and brings the bot to `workers` workers. */
  async succeeded(leader: Replica, workers: number): Promise<{ successor: Replica; took: Succession }> {
    const since = performance.now()
    const { renewTime = '' } = await this.lease()
    await eventually(async () => expect([leader.name, '', undefined]).not.toContain(await this.holder()), LIMIT_MS)
    const led = performance.now()
    const successor = await this.leader()
    const { acquireTime = '' } = await this.lease()
    expect(Date.parse(acquireTime) - Date.parse(renewTime)).toBeGreaterThan(LEASE_MS)
    await this.scaledTo(workers)
    const carriedOut = performance.now()
    await this.sound()
    const wrote = successor.calls.find((seen) => isWrite(seen) && seen.at > since)?.at ?? Number.NaN
    const took = {
      'successor leads': inSeconds(led - since),
      'first write': inSeconds(wrote - since),
      'all carried out': inSeconds(carriedOut - since),
    }
    return { successor, took }
  }
}

/** Of 15 s, less what two processes' reading of one clock may differ by. */
const LEASE_MS = 14_900

/** Shards of each worker, when 8 are spread over so many. */
function shares(workers: number): number[][] {
  const start = (ordinal: number) => Math.floor((ordinal * 8) / workers)
  return Array.from({ length: workers }, (_, ordinal) =>
    Array.from({ length: start(ordinal + 1) - start(ordinal) }, (_, offset) => start(ordinal) + offset),
  )
}

const sampleBot = () => startSampleBot({ host: '127.0.0.1', port: 0, authorization: KEY })

/** 8 shards on 2 workers, whose events go to `end`. */
async function create(bot: Bot, end: SampleBot): Promise<void> {
  await bot.secret({ 'events-authorization': KEY })
  await bot.create((spec) => {
    spec['sessions'] = { saveIntervalSeconds: 0 }
    spec['events'] = [{ name: 'bot', http: { url: `${end.url}/`, authorizationSecretRef: { name: 'bot' } } }]
  })
}
