// What discordeno's standalone-gateway guide and its bigbot template do: one fetch for each event.
import { runDiscordeno } from './discordeno.ts'
import { settings } from './settings.ts'

const told = settings()
await runDiscordeno(told, async (shardId, payload) => {
  await fetch(told.sinkUrl, {
    method: 'POST',
    body: JSON.stringify({ payload, shardId }),
    headers: { 'Content-Type': 'application/json', Authorization: 'bench' },
  }).catch((error) => console.error('failed to send an event to the bot:', error))
})
