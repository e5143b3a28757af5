/**
 * Gateway intents by name, with their bit.
 * Source: https://discord.com/developers/docs/events/gateway#list-of-intents (names as discordeno spells them).
 */
export const INTENT_BITS = {
  Guilds: 0,
  GuildMembers: 1,
  GuildModeration: 2,
  GuildExpressions: 3,
  GuildIntegrations: 4,
  GuildWebhooks: 5,
  GuildInvites: 6,
  GuildVoiceStates: 7,
  GuildPresences: 8,
  GuildMessages: 9,
  GuildMessageReactions: 10,
  GuildMessageTyping: 11,
  DirectMessages: 12,
  DirectMessageReactions: 13,
  DirectMessageTyping: 14,
  MessageContent: 15,
  GuildScheduledEvents: 16,
  AutoModerationConfiguration: 20,
  AutoModerationExecution: 21,
  GuildMessagePolls: 24,
  DirectMessagePolls: 25,
} as const

export type IntentName = keyof typeof INTENT_BITS
export const INTENT_NAMES = Object.keys(INTENT_BITS) as [IntentName, ...IntentName[]]

/** The largest bit field that a manifest may give: bits 0 to 30. */
export const MAX_INTENTS = 2 ** 31 - 1

/** Names and numbers, in any mix, as the one bit field that IDENTIFY carries. */
export function intentsBitField(intents: readonly (IntentName | number)[]): number {
  // No bitwise or: numbers are taken as they are, and bit 31 would turn the sum negative.
  let field = 0n
  for (const intent of intents) field |= typeof intent === 'number' ? BigInt(intent) : 1n << BigInt(INTENT_BITS[intent])
  return Number(field)
}
