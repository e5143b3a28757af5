/**
 * Where a worker may connect to, and so where the bot token may go: what `spec.gateway.hosts` names. Whoever else says
 * where the gateway is (the REST proxy, the manager, a READY, a session that was kept) is held against it.
 */

/** Discord's own gateway, for who cannot ask. https://discord.com/developers/docs/events/gateway#connecting */
const DISCORD_GATEWAY = 'wss://gateway.discord.gg'

/** Longer than any address of a gateway is. */
const LONGEST_URL = 1_024

/**
 * Why no connection may be opened to `url`, in a sentence that does not quote it whole; undefined: it may.
 * - An entry admits `wss` to its host, on its port if it has one; with `ws://` in front also `ws`.
 * - `secure`: only `wss`, because the session was opened so, and nobody must talk its RESUME into plain text.
 * - A URL with user and password is none of a gateway.
 */
export function gatewayUrlProblem(
  url: string,
  hosts: readonly string[],
  { secure = false }: { readonly secure?: boolean } = {},
): string | undefined {
  const parsed = url.length <= LONGEST_URL ? URL.parse(url) : null
  if (!parsed || !/^wss?:$/.test(parsed.protocol)) return 'it is no ws:// or wss:// URL'
  if (parsed.username !== '' || parsed.password !== '') return 'it has a user or a password'
  const where = `${parsed.protocol}//${parsed.host.slice(0, 255)}`
  if (secure && parsed.protocol === 'ws:') return `${where} is not encrypted, and its session was`
  if (hosts.some((entry) => admits(entry, parsed))) return undefined
  return `${where} is not one of gateway.hosts (${hosts.join(', ')})`
}

/** Whether a connection may be opened to it. */
export const mayConnect = (url: string, hosts: readonly string[], secure?: boolean): boolean =>
  gatewayUrlProblem(url, hosts, secure === undefined ? {} : { secure }) === undefined

/** Whether it is encrypted: its sessions stay so. */
export const isSecure = (url: string): boolean => url.startsWith('wss:')

/** Discord's gateway where these hosts admit it: good enough to resume sessions, which have addresses of their own. */
export const knownGateway = (hosts: readonly string[]): string | undefined =>
  mayConnect(DISCORD_GATEWAY, hosts) ? DISCORD_GATEWAY : undefined

function admits(entry: string, { protocol, hostname, port }: URL): boolean {
  const plain = entry.startsWith('ws://')
  if (protocol === 'ws:' && !plain) return false
  const rest = entry.replace(/^wss?:\/\//, '')
  const [, name = rest, entryPort] = /^(.*):([0-9]+)$/.exec(rest) ?? []
  // A URL without a port has that of its protocol.
  const given = port === '' ? (protocol === 'ws:' ? '80' : '443') : port
  if (entryPort !== undefined && Number(entryPort) !== Number(given)) return false
  return name.startsWith('*.') ? hostname.endsWith(name.slice(1)) : hostname === name
}
