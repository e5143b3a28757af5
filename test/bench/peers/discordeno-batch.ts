// The same shard class, its events in the same batches as the sharder's.
import { runDiscordeno } from './discordeno.ts'
import { Lines } from './lines.ts'
import { settings } from './settings.ts'

const told = settings()
const lines = new Lines(told.sinkUrl)
await runDiscordeno(told, (shardId, payload) => lines.add(JSON.stringify({ shardId, payload })))
