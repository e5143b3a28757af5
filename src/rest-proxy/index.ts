/** The REST proxy: one token, many callers. */
export { restProxyCommand } from './command.ts'
export type { RestProxyOptions } from './options.ts'
export { type RestProxy, startRestProxy } from './server.ts'
