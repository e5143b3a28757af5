// All shards on discordeno's own shard class as it comes; a sink gets every dispatch as discordeno hands it over.
import { DiscordenoShard, type TransportCompression } from '@discordeno/gateway'
import { openDelivery } from './delivery.ts'
import { sayReady, settings } from './settings.ts'

const quiet = { debug() {}, info() {}, warn: console.error, error: console.error, fatal: console.error }
const { gatewayUrl, sink, token, intents, shards, compression } = settings()
const deliver = await openDelivery(sink)
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
