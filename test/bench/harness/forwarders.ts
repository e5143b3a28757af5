import { TEST_CERTIFICATE } from '../../unit/simulator/tls.ts'
import type { PeerSettings } from '../peers/settings.ts'
import { Child } from './child.ts'
import { startSharder } from './sharder.ts'
import { INTENTS, type World } from './world.ts'

export type Compression = 'None' | 'ZlibStream'
export const COMPRESSIONS: readonly Compression[] = ['None', 'ZlibStream']

/** Who brings events from Discord to a sink, by the name in the tables. */
export type ForwarderName = 'sharder' | 'sharder, 2 threads' | 'discordeno' | '@discordjs/ws'

/** Starts one that holds all shards of `world`; resolves when they are connected. */
export function startForwarder(name: ForwarderName, world: World, compression: Compression): Promise<Child> {
  switch (name) {
    case 'sharder':
      return startWorldSharder(world, compression, 1)
    case 'sharder, 2 threads':
      return startWorldSharder(world, compression, 2)
    case 'discordeno':
      return startPeer('discordeno', world, compression)
    case '@discordjs/ws':
      return startPeer('discordjs', world, compression)
  }
}

function startWorldSharder(world: World, compression: Compression, threads: number): Promise<Child> {
  const { simulator, sink, directory, token, shards } = world
  return startSharder({
    directory,
    token,
    threads,
    shards,
    sink: sink.settings,
    gateway: { url: simulator.gatewayUrl, version: 10, intents: INTENTS, compression },
    certificateAuthority: TEST_CERTIFICATE,
  })
}

function startPeer(file: string, world: World, compression: Compression): Promise<Child> {
  const { simulator, sink, token, directory, shards } = world
  const { gatewayUrl } = simulator
  const settings: PeerSettings = { gatewayUrl, sink: sink.address, token, shards, intents: INTENTS, compression }
  return Child.start(new URL(`../peers/${file}.ts`, import.meta.url), {
    args: [JSON.stringify(settings)],
    env: { NODE_EXTRA_CA_CERTS: directory.secret('ca.pem', TEST_CERTIFICATE) },
  })
}
