import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Rig } from './rig.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const inMB = (bytes: number): number => Math.round(bytes / 1e5) / 10

/** What the process holds once its garbage is collected, the test itself and its proxies included. */
export async function footprint({ http, tcp, transport }: Rig) {
  // What was freed may free more: finalizers, closed sockets.
  for (let times = 0; times < 3; times += 1) {
    collectGarbage()
    await delay(100)
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  return {
    ...{ heapMB: inMB(heapUsed), externalMB: inMB(external), rssMB: inMB(rss) },
    handles: process.getActiveResourcesInfo().length,
    ...{ watches: transport.openStreams, sockets: tcp.open, proxySockets: http.connections },
  }
}
