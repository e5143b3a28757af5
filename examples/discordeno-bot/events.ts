import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { DiscordGatewayPayload, GatewayDispatchEventNames } from '@discordeno/bot'
import type { ExampleBot } from './bot.ts'

/** One event, as the workers post it with `format: Event`. */
interface GatewayEvent {
  readonly shardId: number
  readonly payload: DiscordGatewayPayload
}

/** Takes events by HTTP and hands them to the bot's handlers. The answer is the receipt: no 200, and it comes again. */
export function serveEvents(bot: ExampleBot, authorization: string): Server {
  return createServer((request, response) => {
    if (request.headers.authorization !== authorization) {
      response.writeHead(401).end()
      return
    }
    read(request)
      .then(({ payload, shardId }) => handleEvent(bot, payload, shardId))
      .then(
        () => response.writeHead(200).end(),
        (error: unknown) => {
          bot.logger.error('an event could not be handled', error)
          response.writeHead(500).end()
        },
      )
  })
}

/** What discordeno does with a payload from its own gateway. */
async function handleEvent(bot: ExampleBot, payload: DiscordGatewayPayload, shardId: number): Promise<void> {
  bot.events.raw?.(payload, shardId)
  if (!payload.t) return
  await bot.events.dispatchRequirements?.(payload, shardId)
  bot.handlers[payload.t as GatewayDispatchEventNames]?.(bot, payload, shardId)
}

async function read(request: IncomingMessage): Promise<GatewayEvent> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return JSON.parse(Buffer.concat(parts).toString()) as GatewayEvent
}
