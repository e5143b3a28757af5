import { DiscordenoShard, type TransportCompression } from '@discordeno/gateway'
import { type PeerSettings, sayReady } from './settings.ts'

const quiet = { debug() {}, info() {}, warn: console.error, error: console.error, fatal: console.error }

/** All shards on discordeno's own shard class as it comes; `deliver` gets every dispatch as discordeno hands it over. */
export async function runDiscordeno(
  settings: PeerSettings,
  deliver: (shardId: number, payload: unknown) => unknown,
): Promise<void> {
  const { gatewayUrl, token, intents, shards, compression } = settings
  for (let id = 0; id < shards; id++) {
    const shard = new DiscordenoShard({
      id,
      logger: quiet,
      connection: {
        compress: false,
        transportCompression: compression === 'None' ? null : ('zlib-stream' as TransportCompression),
        intents,
        properties: { os: process.platform, browser: 'Discordeno', device: 'Discordeno' },
        token,
        totalShards: shards,
        url: gatewayUrl,
        version: 10,
      },
      events: {
        message: (from, payload) => (payload.op === 0 ? deliver(from.id, payload) : undefined),
      },
    })
    await shard.identify()
  }
  sayReady()
}
