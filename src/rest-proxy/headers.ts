import { type IncomingHttpHeaders, validateHeaderName, validateHeaderValue } from 'node:http'

/** Request headers that mean something to Discord; all others are the proxy's business, or the caller's secret. */
const FORWARDED = ['content-type', 'x-audit-log-reason', 'accept', 'accept-language']

/** Answer headers that belong to one hop (RFC 9110 section 7.6.1), or are made anew; `proxy-*` and what `connection` names too. */
const OWN = new Set([
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'set-cookie',
  'alt-svc',
  'date',
  'server',
])

/** Headers as undici gives them: names in lower case. */
type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>

/** What of a caller's headers goes to Discord. */
export function forwardedHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const known = FORWARDED.map((name) => [name, headers[name]] as const)
  return Object.fromEntries(known.filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
}

/** What of an answer's headers goes to the caller, each fit to be sent. */
export function passedHeaders(headers: AnswerHeaders): [string, string | string[]][] {
  const named = new Set([headers['connection'] ?? []].flat().flatMap(tokens))
  const passed: [string, string | string[]][] = []
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || OWN.has(name) || named.has(name) || name.startsWith('proxy-')) continue
    if (isSendable(name, value)) passed.push([name, value])
  }
  return passed
}

const tokens = (list: string): string[] => list.split(',').map((token) => token.trim().toLowerCase())

/** Undici takes more characters than Node sends. */
function isSendable(name: string, value: string | string[]): boolean {
  try {
    validateHeaderName(name)
    for (const one of [value].flat()) validateHeaderValue(name, one)
    return true
  } catch {
    return false
  }
}
