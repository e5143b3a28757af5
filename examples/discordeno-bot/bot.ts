import { createBot, Intents } from '@discordeno/bot'

/** The bot itself, as in any bot on discordeno: nothing in it knows where its events come from. */
export function makeBot(token: string) {
  const bot = createBot({
    token,
    intents: Intents.Guilds | Intents.GuildMessages,
    desiredProperties: { message: { id: true, guildId: true, channelId: true, content: true } },
    events: {
      messageCreate(message) {
        bot.logger.info(`guild ${message.guildId}: ${message.content}`)
      },
    },
  })
  return bot
}

export type ExampleBot = ReturnType<typeof makeBot>
