// @discordjs/ws as it comes; a sink gets every dispatch.
import { CompressionMethod, WebSocketManager, WebSocketShardEvents } from '@discordjs/ws'
import { openDelivery } from './delivery.ts'
import { sayReady, settings } from './settings.ts'

const { gatewayUrl, sink, token, shards, intents, compression } = settings()
const deliver = await openDelivery(sink)
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
manager.on(WebSocketShardEvents.Dispatch, (payload, shardId) => deliver(shardId, payload))
await manager.connect()
sayReady()
