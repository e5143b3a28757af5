import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { SIMULATOR } from '../limits.ts'
import { authorizationMatches } from '../support/authorization.ts'
import { type Clock, systemClock } from '../support/clock.ts'
import { type HttpServerBounds, httpServer } from '../support/http-server.ts'
import { type ControlCommand, type ControlInput, type ControlResult, isControlCommand, runControl } from './control.ts'
import { Gateway } from './gateway.ts'
import { type SimulatorOptions, type SimulatorSettings, simulatorSettings } from './options.ts'
import { advertisedUrl, registerRest } from './rest.ts'
import { type SimulatorStats, simulatorStats } from './stats.ts'
import { Traffic } from './traffic.ts'

/** A running simulated Discord. */
export interface Simulator {
  /** The HTTP base: requests go to `<url>/api/v10/...` or `<url>/v10/...`. */
  readonly url: string
  /** What to connect a WebSocket to. */
  readonly gatewayUrl: string
  readonly settings: SimulatorSettings
  /** Everything counted so far; `detail` adds a row per shard. */
  stats(options?: { readonly detail?: boolean }): SimulatorStats
  /** The same as `POST /control/<command>`. Throws a ZodError on a wrong input. */
  control<K extends ControlCommand>(command: K, input?: ControlInput<K>): ControlResult
  /** Cuts every connection and stops listening. */
  close(): Promise<void>
}

/**
 * Starts a Discord that enforces Discord's rules: REST, gateway and `/control/*` on one port.
 * Throws a ZodError on wrong options, and what listen() throws when the port is taken.
 * `bounds`: what differs from the simulator's own times and limit of connections.
 */
export async function startSimulator(
  options: SimulatorOptions = {},
  clock: Clock = systemClock,
  bounds: Partial<HttpServerBounds> = {},
): Promise<Simulator> {
  const settings = simulatorSettings(options)
  const gateway = new Gateway(settings, clock)
  const traffic = new Traffic(gateway, settings.eventsPerSecond)
  const closing = new AbortController()
  const app = httpServer({ forceCloseConnections: true, tls: settings.tls, bounds: { ...SIMULATOR, ...bounds } })
  registerControl(app, settings, { gateway, traffic })
  registerRest(app, gateway, closing.signal)
  app.server.on('upgrade', (request, socket, head) => {
    gateway.upgrade(request, socket, head, advertisedUrl(gateway, request.headers.host))
  })
  const close = async () => {
    closing.abort()
    traffic.stop()
    gateway.close()
    await app.close()
  }
  const url = await app.listen({ host: settings.host, port: settings.port, backlog: 4096 }).catch(async (error) => {
    await close()
    throw error
  })
  return {
    url,
    gatewayUrl: settings.gatewayUrl ?? url.replace(/^http/, 'ws'),
    settings,
    stats: ({ detail = false } = {}) => simulatorStats(gateway, traffic, detail),
    control: (command, input) => runControl({ gateway, traffic }, command, input),
    close,
  }
}

function registerControl(
  app: FastifyInstance,
  settings: SimulatorSettings,
  on: { gateway: Gateway; traffic: Traffic },
) {
  const allowed = settings.controlKey === undefined ? () => true : authorizationMatches(settings.controlKey)
  app.register(async (control) => {
    control.addHook('onRequest', async (request, reply) => {
      if (!allowed(request.headers.authorization)) await reply.code(401).send({ error: 'Invalid authorization key.' })
    })
    control.setErrorHandler(async (error, _request, reply) => {
      if (error instanceof z.ZodError) return reply.code(400).send({ message: z.prettifyError(error) })
      const status = (error as { statusCode?: number }).statusCode ?? 500
      return reply.code(status).send({ message: (error as Error).message })
    })
    control.get<{ Querystring: { detail?: string } }>('/control/stats', async (request) =>
      simulatorStats(on.gateway, on.traffic, request.query.detail !== undefined),
    )
    control.post<{ Params: { command: string } }>('/control/:command', async (request, reply) => {
      const { command } = request.params
      if (!isControlCommand(command)) return reply.code(404).send({ message: `there is no command ${command}` })
      return runControl(on, command, request.body)
    })
  })
}
