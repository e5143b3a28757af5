import type { GatewayOptions } from '../../src/protocol/commands.ts'
import { CODECS } from './codec.ts'

const PROPERTIES = { os: process.platform, browser: 'ShardCluster', device: 'ShardCluster' }

/** The URL of a connection, from the one that Discord gave. */
export function gatewayUrl(url: string, { version, compression }: GatewayOptions): string {
  const parsed = new URL(url)
  parsed.searchParams.set('v', String(version))
  parsed.searchParams.set('encoding', 'json')
  const codec = CODECS[compression]
  if (codec) parsed.searchParams.set('compress', codec.query)
  return parsed.href
}

/** Op 2 as text. */
export function identifyPayload(token: string, shard: readonly [number, number], gateway: GatewayOptions): string {
  const { intents, presence } = gateway
  return JSON.stringify({ op: 2, d: { token, intents, properties: PROPERTIES, shard, ...(presence && { presence }) } })
}

/** Op 6 as text: everything after `seq` is sent again. */
export function resumePayload(token: string, sessionId: string, seq: number): string {
  return JSON.stringify({ op: 6, d: { token, session_id: sessionId, seq } })
}
