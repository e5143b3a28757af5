// What an end of the wire costs to load: the module of the first argument, in a process that has the protocol already.
import '../../../../src/protocol/commands.ts'
import '../../../../src/protocol/state.ts'
import { takeOrders } from '../orders.ts'

const before = process.memoryUsage.rss()
const startedAt = performance.now()
await import(process.argv[2] ?? '')
const loadMs = performance.now() - startedAt
takeOrders({}, { loadMs, rss: process.memoryUsage.rss() - before })
