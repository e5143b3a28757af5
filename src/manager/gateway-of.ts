import type { GatewayOptions } from '../protocol/commands.ts'
import type { Desired } from './ports.ts'
import type { WorkerLink } from './worker-link.ts'

/** How shards shall connect, and a key that changes when that, or what may mend a fatal close, does. */
export interface PresentOptions {
  readonly gateway: GatewayOptions
  readonly gatewayKey: string
}

/** `url` is Discord's; without it that of a worker that runs already; undefined while neither is known. */
export function gatewayOf(
  desired: Desired | undefined,
  url: string | undefined,
  links: Iterable<WorkerLink>,
): PresentOptions | undefined {
  const known = url ?? [...links].find(({ view }) => view.assignment)?.view.assignment?.gateway.url
  if (!desired || known === undefined) return undefined
  const gateway = { ...desired.gateway, url: known }
  return { gateway, gatewayKey: JSON.stringify([gateway, desired.remedy]) }
}
