/**
 * The shard that a guild's events come on, and that its voice states and member requests must be sent on:
 * `(guild_id >> 22) % totalShards`, https://discord.com/developers/docs/events/gateway#sharding
 * `guildId` is a snowflake in decimal: more than a number holds.
 */
export function shardOfGuild(guildId: string, totalShards: number): number {
  return Number((BigInt(guildId) >> 22n) % BigInt(totalShards))
}
