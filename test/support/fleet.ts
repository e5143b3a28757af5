import type { Session } from '../../src/protocol/session.ts'
import type { Simulator } from '../../src/simulator/index.ts'
import type { TestWorker } from './sharder.ts'

const never = new AbortController().signal

/** Makes a worker hold all shards of a bot, and identifies those without a session. @throws Error when it refuses. */
export async function holdAll(
  worker: TestWorker,
  discord: Simulator,
  totalShards: number,
  { epoch = 1, sessions = [] as Session[] } = {},
): Promise<void> {
  const gateway = { url: discord.gatewayUrl, version: 10, intents: 513, compression: 'None' as const }
  const range = { totalShards, first: 0, last: totalShards - 1, withhold: [] }
  const answers = [await worker.port.assign({ epoch, ...range, gateway, sessions }, never)]
  const known = new Set(sessions.map(({ shardId }) => shardId))
  for (let shardId = 0; shardId < totalShards; shardId++)
    if (!known.has(shardId)) answers.push((await worker.port.identify({ shardId, slotInMs: 0 }, never)) as never)
  for (const answer of answers) if (!answer.ok) throw new Error(`the worker refused: ${JSON.stringify(answer)}`)
}

/** How many events the simulator has made for a shard. */
export const eventsOf = (discord: Simulator, shardId: number, totalShards: number): number =>
  discord.stats({ detail: true }).bots[0]?.shards?.[`${shardId}/${totalShards}`]?.counter ?? 0
