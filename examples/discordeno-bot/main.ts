import { makeBot } from './bot.ts'
import { serveEvents } from './events.ts'

const { DISCORD_TOKEN = '', EVENTS_AUTHORIZATION = '', PORT = '8080' } = process.env
if (DISCORD_TOKEN === '' || EVENTS_AUTHORIZATION === '') {
  console.error('set DISCORD_TOKEN, and EVENTS_AUTHORIZATION to the key that the ShardCluster sends')
  process.exit(1)
}

serveEvents(makeBot(DISCORD_TOKEN), EVENTS_AUTHORIZATION).listen(Number(PORT))
