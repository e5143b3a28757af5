// The operator as a process, with the environment of its pod.
import { runOperator } from '../../../operator/main.ts'

const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
process.once('disconnect', () => process.exit(0))
console.info('{}')
await runOperator(process.env, stop.signal)
process.exit(0)
