import { endWithBenchmark } from '../children/orders.ts'
import type { SinkAddress } from '../harness/sink-address.ts'

/** What a peer is told: the first argument of its process, as JSON. */
export interface PeerSettings {
  readonly gatewayUrl: string
  readonly sink: SinkAddress
  readonly token: string
  readonly shards: number
  readonly intents: number
  readonly compression: 'None' | 'ZlibStream'
}

/** Ends this process with the benchmark. */
export function settings(): PeerSettings {
  endWithBenchmark()
  return JSON.parse(process.argv[2] ?? '{}') as PeerSettings
}

export const sayReady = (): void => console.info(JSON.stringify({ ready: true }))
