import type { Dispatcher, Pool as UndiciPool } from 'undici'
import request from 'undici/lib/api/api-request.js'
import PoolClass from 'undici/lib/dispatcher/pool.js'

/**
 * undici's Pool and its request, without the rest: the package's index also loads fetch, WebSocket, caches and mocks,
 * 12 MB in every thread (measured). The package has no export map; the sinks' tests run against a real server.
 */
export const Pool = PoolClass as unknown as typeof UndiciPool

export function requestOver(pool: UndiciPool, options: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData> {
  return request.call(pool, options)
}
