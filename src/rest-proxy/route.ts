import { REST_PROXY } from '../limits.ts'

/** Where below the API a request goes. */
export interface Target {
  /** Below the API version, with its query: `/gateway/bot?x=1`. */
  readonly route: string
  readonly version: number
}

/** What no path of Discord's has, escaped or not: slashes inside a name, control characters, overlong UTF-8. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const FOREIGN = /[/\\\u0000-\u001f\u007f\u00c0\u00c1]/
/** `.` and `..`, also with the parameters that some servers cut off: `..;x`. */
const DOTS = /^\.{1,2}(?:;|$)/

/**
 * `/v10/x`, `/api/v10/x` and `/x` are the route `/x`. Undefined when the path leaves the API, or could leave it once
 * somebody behind this proxy decodes it: the request carries the token.
 */
export function targetOf(url: string): Target | undefined {
  const [, version, route] = /^(?:\/api(?=\/))?(?:\/v(\d{1,2})(?=\/))?(\/.*)$/.exec(url) ?? []
  if (route === undefined || route.startsWith('//')) return undefined
  const path = route.split('?', 1)[0] ?? ''
  // The URL parser resolves `..` and its escaped forms: a route that it changes is not one of Discord's.
  if (URL.parse(`http://discord${route}`)?.pathname !== path) return undefined
  if (!path.split('/').every(isPlain)) return undefined
  return { route, version: version === undefined ? 10 : Number(version) }
}

/** Whether a part of a path stays one part, however often it is decoded. */
function isPlain(segment: string): boolean {
  let text = segment
  for (let round = 0; round <= REST_PROXY.pathEscapes; round += 1) {
    if (FOREIGN.test(text) || DOTS.test(text)) return false
    const decoded = text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    )
    if (decoded === text) return true
    text = decoded
  }
  return false
}
