import { RunDirectory } from '../../../src/local/run-directory.ts'
import { fakeToken } from '../../../src/simulator/index.ts'
import { intentMask } from '../../../src/simulator/rules/intents.ts'
import { TEST_CERTIFICATE, TEST_KEY } from '../../unit/simulator/tls.ts'
import { type BenchSink, type SinkKind, startSink } from './bench-sink.ts'
import { SimulatorProcess } from './simulator.ts'
import { until } from './until.ts'

/** How many shards each forwarder holds, if nothing else is said. */
const SHARDS = 16
const PATIENCE_MS = 120_000

/** MESSAGE_CREATE, about 1.2 KB, and now and then a CHANNEL_UPDATE. */
export const INTENTS = intentMask('Guilds') | intentMask('GuildMessages')

/** Everything around a forwarder: a Discord and a sink, which nobody else uses at the same time. */
export interface World {
  readonly simulator: SimulatorProcess
  readonly sink: BenchSink
  readonly directory: RunDirectory
  readonly token: string
  readonly shards: number
}

export interface WorldOptions {
  readonly sink: SinkKind
  readonly shards?: number
  readonly tls?: boolean
}

/** Starts one for forwarders that come and go; it ends with `ending`. */
export async function startWorld(
  ending: AsyncDisposableStack,
  { sink: kind, shards = SHARDS, tls = false }: WorldOptions,
): Promise<World> {
  const token = fakeToken()
  const directory = ending.adopt(new RunDirectory(), (d) => d.remove())
  const options = {
    bots: [{ token, maxConcurrency: shards }],
    identifyWindowMs: 1,
    // What one forwarder leaves behind shall not weigh on the next.
    sessionLifetimeMs: 1_000,
    ...(tls && { tls: { key: TEST_KEY, cert: TEST_CERTIFICATE } }),
  }
  const simulator = ending.adopt(await SimulatorProcess.start(options), (s) => s.stop())
  const sink = await startSink(kind, directory, ending)
  return { simulator, sink, directory, token, shards }
}

/**
 * So many events to each shard; resolves when the sink has confirmed them, with the seconds it took.
 * @throws Error when they do not arrive, or more do.
 */
export async function burst(world: World, perShard: number): Promise<number> {
  const { simulator, sink, shards } = world
  const expected = (await atRest(world)) + perShard * shards
  const startedAt = performance.now()
  await simulator.control('burst', { count: perShard })
  const arrived = async () => (await sink.process.counts()).events >= expected
  await orTell(world, until(`${perShard} events a shard`, PATIENCE_MS, arrived, 10))
  const seconds = (performance.now() - startedAt) / 1_000
  await atRest(world)
  return seconds
}

/**
 * Resolves when the sink has confirmed every event that the simulator has ever sent, with how many that are.
 * @throws Error when it does not come to that: events are missing, or came twice.
 */
export async function atRest(world: World): Promise<number> {
  let confirmed = 0
  const same = async () => {
    const { eventsSent, burstsLeft, connectedShards } = await world.simulator.stats()
    confirmed = (await world.sink.process.counts()).events
    return burstsLeft === 0 && connectedShards === world.shards && confirmed === eventsSent
  }
  await orTell(world, until('every event arriving once', PATIENCE_MS, same))
  return confirmed
}

async function orTell({ simulator, sink }: World, waiting: Promise<void>): Promise<void> {
  try {
    await waiting
  } catch (cause) {
    const { events: arrived } = await sink.process.counts()
    const { eventsSent, burstsLeft, connectedShards, closes, violations } = await simulator.stats()
    const seen = JSON.stringify({ eventsSent, arrived, burstsLeft, connectedShards, closes, violations })
    throw new Error(`the sink does not have what was sent: ${seen}`, { cause })
  }
}
