import type { Reason } from '../api/conditions.ts'

/**
 * Close codes after which no IDENTIFY of the bot can succeed until somebody mends it.
 * Source: https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
 */
const FATAL: Record<number, { reason: Reason; message: string }> = {
  4004: {
    reason: 'TokenRejected',
    message:
      'Discord refused the bot token (close 4004). Put the current token into the Secret that tokenSecretRef names.',
  },
  4010: {
    reason: 'IllegalShardCount',
    message:
      'Discord refused the shard count (close 4010). Bots above 150,000 guilds need a multiple of the number that Discord assigned (usually 16): correct totalShards, and set gateway.shardMultiple so that this is checked beforehand.',
  },
  4011: {
    reason: 'ShardingRequired',
    message: 'Discord wants more shards (close 4011): a shard would hold more than 2,500 guilds. Raise totalShards.',
  },
  4012: {
    reason: 'UnsupportedGatewayVersion',
    message: 'Discord no longer knows this gateway version (close 4012). Set gateway.version to 10.',
  },
  4013: {
    reason: 'InvalidIntents',
    message: 'Discord does not know one of the intents (close 4013). Correct gateway.intents.',
  },
  4014: {
    reason: 'DisallowedIntents',
    message:
      "The bot may not use one of its intents (close 4014). Enable the privileged intents in Discord's developer portal, or take GuildMembers, GuildPresences and MessageContent out of gateway.intents.",
  },
}

/** What a fatal close code means to the user; undefined for a code that is not fatal. */
export const fatalClose = (closeCode: number): { reason: Reason; message: string } | undefined => FATAL[closeCode]

export const isFatalClose = (closeCode: number): boolean => closeCode in FATAL
