import type { Pool as UndiciPool } from 'undici'
import PoolClass from 'undici/lib/dispatcher/pool.js'

/**
 * undici's Pool without the rest: the package's index also loads fetch, WebSocket, caches and mocks, 12 MB in every
 * thread (measured). The package has no export map; the sinks' tests run against a real server.
 */
export const Pool = PoolClass as unknown as typeof UndiciPool
