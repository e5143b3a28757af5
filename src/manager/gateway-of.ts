import { knownGateway, mayConnect } from '../domain/gateway-host.ts'
import type { GatewayOptions } from '../protocol/commands.ts'
import type { Desired } from './ports.ts'
import type { WorkerLink } from './worker-link.ts'

/** How shards shall connect, and a key that changes when that, or what may mend a fatal close, does. */
export interface PresentOptions {
  readonly gateway: GatewayOptions
  readonly gatewayKey: string
}

/**
 * `url` is Discord's; without it that of a worker that runs already, or Discord's own address, as far as the ShardCluster
 * admits them; undefined while nothing is known.
 */
export function gatewayOf(
  desired: Desired | undefined,
  url: string | undefined,
  links: Iterable<WorkerLink>,
): PresentOptions | undefined {
  if (!desired) return undefined
  const { gatewayHosts: hosts } = desired
  const told = [...links]
    .flatMap(({ view }) => view.assignment?.gateway.url ?? [])
    .find((one) => mayConnect(one, hosts))
  // Sessions have addresses of their own: to resume them is possible before anybody said where the gateway is.
  const known = url ?? told ?? knownGateway(hosts)
  if (known === undefined) return undefined
  const gateway = { ...desired.gateway, url: known }
  return { gateway, gatewayKey: JSON.stringify([gateway, desired.remedy]) }
}
