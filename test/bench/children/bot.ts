// The bot end of an http sink as a process: it checks every sequence.
import { startSampleBot } from '../../../src/local/sample-bot.ts'
import { takeOrders } from './orders.ts'

const bot = await startSampleBot({ host: '127.0.0.1', port: 0, authorization: undefined })
takeOrders({}, { url: bot.url })
