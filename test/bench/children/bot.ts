// The bot end of an http sink as a process: it checks every sequence.
import { startSampleBot } from '../../../src/local/sample-bot.ts'

const bot = await startSampleBot({ host: '127.0.0.1', port: 0, authorization: undefined })
process.once('SIGTERM', () => process.exit(0))
process.once('disconnect', () => process.exit(0))
console.info(JSON.stringify({ url: bot.url }))
