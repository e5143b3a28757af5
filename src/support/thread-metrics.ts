import { Counter, type Registry } from 'prom-client'

/** Registers the counter of threads that ended by themselves. @returns what counts the end of one of `names`. */
export function createThreadMetrics(registry: Registry, names: readonly string[]): (name: string) => () => void {
  const counter = new Counter({
    name: 'shardcluster_thread_restarts_total',
    help: 'Threads that ended by themselves and were started again: bot-api serves bots, probes serves this.',
    labelNames: ['thread'],
    registers: [registry],
  })
  for (const thread of names) counter.inc({ thread }, 0)
  return (thread) => () => counter.inc({ thread })
}
