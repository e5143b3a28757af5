// @discordjs/ws as it comes, its events in the same batches as the sharder's.
import { CompressionMethod, WebSocketManager, WebSocketShardEvents } from '@discordjs/ws'
import { Lines } from './lines.ts'
import { sayReady, settings } from './settings.ts'

const { gatewayUrl, sinkUrl, token, shards, intents, compression } = settings()
const lines = new Lines(sinkUrl)
const information = {
  url: gatewayUrl,
  shards,
  session_start_limit: { total: 1e6, remaining: 1e6, reset_after: 1e6, max_concurrency: shards },
}
const manager = new WebSocketManager({
  token,
  intents,
  shardCount: shards,
  // Nothing but GET /gateway/bot is asked of it.
  rest: { get: async () => information } as never,
  compression: compression === 'None' ? null : CompressionMethod.ZlibNative,
  buildIdentifyThrottler: () => ({ waitForIdentify: async () => {} }),
})
manager.on(WebSocketShardEvents.Error, (error, shardId) => console.error('shard', shardId, error))
manager.on(WebSocketShardEvents.SocketError, (error, shardId) => console.error('shard', shardId, error))
manager.on(WebSocketShardEvents.Dispatch, (payload, shardId) => lines.add(JSON.stringify({ shardId, payload })))
await manager.connect()
sayReady()
