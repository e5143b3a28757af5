export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
export type ContentType = 'application/json' | 'application/merge-patch+json' | 'application/apply-patch+yaml'

/** One call to the API server. */
export interface ApiCall {
  readonly method: Method
  readonly path: string
  /** undefined values are left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  /** Sent as JSON (which is valid YAML, so also for apply patches). */
  readonly body?: unknown
  /** Of `body`. Default `application/json`. */
  readonly contentType?: ContentType
  readonly signal?: AbortSignal | undefined
  /** For one try, in milliseconds. Default 30,000. Of a stream: until its headers. */
  readonly timeoutMs?: number | undefined
  /** Asked right before each try is sent; what it throws is the call's answer, and nothing is sent. */
  readonly guard?: () => void
}

/** An open watch. `body` throws an ApiError when the connection fails and just ends after `close`. */
export interface ApiStream {
  readonly body: AsyncIterable<Uint8Array>
  /** Ends it from our side; safe to call twice. A stream that is not read to its end must be closed. */
  close(): void
  /** Like `close`, for a peer that went silent: the next call opens a new connection. */
  abandon(): void
}

/** What the rest of the runtime needs of the API server. */
export interface Transport {
  /** Answers the parsed JSON body. Throws an ApiError, or the signal's reason when the caller aborts. */
  request<T>(call: ApiCall): Promise<T>
  /** Opens a long answer, such as a watch. Throws like `request`. */
  stream(call: ApiCall): Promise<ApiStream>
}

/** For messages: `METHOD /path`, without the query, which may hold a continue token. */
export function nameOf({ method, path }: ApiCall): string {
  return `${method} ${path}`
}

/** Path and query of a call below the server's own path prefix (Rancher and other proxies have one). */
export function targetOf({ path, query }: ApiCall, prefix: string): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) parameters.set(name, String(value))
  }
  const root = `${prefix.replace(/\/$/, '')}${path}`
  return parameters.size === 0 ? root : `${root}?${parameters}`
}

/** Calls `action` when the signal aborts, until the returned function is called. */
export function onAbort(signal: AbortSignal | undefined, action: () => void): () => void {
  if (signal?.aborted) action()
  signal?.addEventListener('abort', action, { once: true })
  return () => signal?.removeEventListener('abort', action)
}
