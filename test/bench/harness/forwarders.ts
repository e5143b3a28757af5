import type { RunDirectory } from '../../../src/local/run-directory.ts'
import { intentMask } from '../../../src/simulator/rules/intents.ts'
import { TEST_CERTIFICATE, TEST_KEY } from '../../unit/simulator/tls.ts'
import type { PeerSettings } from '../peers/settings.ts'
import type { BenchSink } from './bench-sink.ts'
import { Child } from './child.ts'
import { startSharder } from './sharder.ts'
import { SimulatorProcess } from './simulator.ts'
import { until } from './until.ts'

/** How many shards each forwarder holds. */
export const SHARDS = 16
const BURST_TIMEOUT_MS = 120_000

/** MESSAGE_CREATE, about 1.2 KB, and now and then a CHANNEL_UPDATE. */
const INTENTS = intentMask('Guilds') | intentMask('GuildMessages')

export type Compression = 'None' | 'ZlibStream'

/** Everything around a forwarder. */
export interface World {
  readonly simulator: SimulatorProcess
  readonly sink: BenchSink
  readonly directory: RunDirectory
  readonly token: string
}

/** A simulated Discord for forwarders that come and go; what one leaves behind shall not weigh on the next. */
export function worldSimulator(token: string, tls: boolean): Promise<SimulatorProcess> {
  return SimulatorProcess.start({
    bots: [{ token, maxConcurrency: SHARDS }],
    identifyWindowMs: 1,
    sessionLifetimeMs: 1_000,
    ...(tls && { tls: { key: TEST_KEY, cert: TEST_CERTIFICATE } }),
  })
}

/** A sharder with all shards. */
export function startWorldSharder(
  { simulator, sink, directory, token }: World,
  compression: Compression,
  threads = 1,
): Promise<Child> {
  return startSharder({
    directory,
    token,
    threads,
    sink: sink.settings,
    shards: SHARDS,
    gateway: { url: simulator.gatewayUrl, version: 10, intents: INTENTS, compression },
    certificateAuthority: TEST_CERTIFICATE,
  })
}

/** Another library with all shards. */
export function startPeer(
  name: 'discordeno' | 'discordjs',
  { simulator, sink, token, directory }: World,
  compression: Compression,
): Promise<Child> {
  const { gatewayUrl } = simulator
  const settings: PeerSettings = {
    gatewayUrl,
    sink: sink.address,
    token,
    shards: SHARDS,
    intents: INTENTS,
    compression,
  }
  return Child.start(new URL(`../peers/${name}.ts`, import.meta.url), {
    args: [JSON.stringify(settings)],
    env: { NODE_EXTRA_CA_CERTS: directory.secret('ca.pem', TEST_CERTIFICATE) },
  })
}

/**
 * So many events to each shard; resolves when the sink has confirmed them, with the seconds it took.
 * @throws Error when they do not arrive, or more do.
 */
export async function burst({ simulator, sink }: World, perShard: number): Promise<number> {
  const { process } = sink
  const expected = (await process.settled()).events + perShard * SHARDS
  const startedAt = performance.now()
  await simulator.control('burst', { count: perShard })
  try {
    const arrived = async () => (await process.counts()).events >= expected
    await until(`${perShard} events a shard`, BURST_TIMEOUT_MS, arrived, 10)
  } catch (cause) {
    const { events: arrived } = await process.counts()
    const { burstsLeft, connectedShards, closes, violations } = await simulator.stats()
    const seen = JSON.stringify({ missing: expected - arrived, burstsLeft, connectedShards, closes, violations })
    throw new Error(`not every event arrived: ${seen}`, { cause })
  }
  const seconds = (performance.now() - startedAt) / 1_000
  const { events: arrived } = await process.settled()
  if (arrived !== expected) throw new Error(`${arrived - expected} events arrived that were never sent`)
  return seconds
}
