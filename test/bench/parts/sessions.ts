import { setTimeout as sleep } from 'node:timers/promises'
import { RunDirectory } from '../../../src/local/run-directory.ts'
import type { SampleBotStats } from '../../../src/local/sample-bot.ts'
import { fakeToken, type SimulatorStats } from '../../../src/simulator/index.ts'
import { BotProcess } from '../harness/bot.ts'
import { LocalFleet } from '../harness/local-fleet.ts'
import type { Part } from '../harness/report.ts'
import { SimulatorProcess, violationsOf } from '../harness/simulator.ts'
import { until } from '../harness/until.ts'

const EVENTS_PER_SECOND = 5_000
const WINDOW_MS = 1_000
const TIMEOUT_MS = 180_000
/** How long the traffic runs undisturbed first, in milliseconds: its own gaps are measured too. */
const CALM_MS = 5_000

/** A change to a running fleet that sessions must outlive. */
interface Change {
  readonly name: string
  readonly totalShards: number
  readonly totalWorkers: number
  readonly shardsPerWorker: number
  /** The shards that get another process. */
  readonly moves: (shardId: number) => boolean
  run(fleet: LocalFleet): Promise<void>
}

const CHANGES: readonly Change[] = [
  {
    name: 'hand-over of 500 shards to another worker',
    totalShards: 1_000,
    totalWorkers: 1,
    shardsPerWorker: 1_000,
    moves: (shardId) => shardId >= 500,
    async run(fleet) {
      fleet.scale(2)
      await sleep(100)
    },
  },
  {
    name: 'rolling update of 10 workers x 50 shards',
    totalShards: 500,
    totalWorkers: 10,
    shardsPerWorker: 50,
    moves: () => true,
    // As the operator does: the highest ordinal first, the next when every shard is connected.
    async run(fleet) {
      for (let ordinal = 9; ordinal >= 0; ordinal -= 1) {
        await fleet.cluster.restart(ordinal)
        await until(`worker ${ordinal} back`, TIMEOUT_MS, () => fleet.settled, 20)
      }
    },
  },
]

interface World {
  readonly simulator: SimulatorProcess
  readonly bot: BotProcess
  readonly fleet: LocalFleet
}

interface Run {
  readonly name: string
  readonly moved: number
  readonly seconds: number
  /** From the first RESUME to the last. */
  readonly resumeSeconds: number
  readonly identifies: number
  readonly resumes: number
  readonly events: number
  readonly lost: number
  readonly duplicates: number
  readonly longestGapMs: number
  readonly meanGapMs: number
  readonly calmGapMs: number
  readonly violations: number
  readonly violationDetails: readonly object[]
  readonly mostOwners: number
}

/** What moving sessions costs: time, gaps, and IDENTIFYs, of which it may cost none. */
export async function sessions(say: (line: string) => void): Promise<Part> {
  const runs: Run[] = []
  for (const change of CHANGES) runs.push(await measure(change, say))
  return report(runs)
}

async function measure(change: Change, say: (line: string) => void): Promise<Run> {
  await using ending = new AsyncDisposableStack()
  const world = await begin(ending, change)
  const { simulator, bot, fleet } = world
  say(`sessions: ${change.name}: ${change.totalShards} shards are READY`)
  await sleep(CALM_MS)
  await bot.restartSilences()
  await sleep(CALM_MS)
  const calm = gapsOf(await bot.stats(), change.moves)
  const before = { discord: await simulator.stats(), bot: await bot.stats() }
  await bot.restartSilences()
  const orderedAt = Date.now()
  await change.run(fleet)
  await until(change.name, TIMEOUT_MS, () => fleet.settled, 20)
  // The last shard's first event after its RESUME ends its gap.
  await sleep(500)
  const gaps = gapsOf(await bot.stats(), change.moves)
  const after = await deliveredToTheLast(world)
  const span = after.discord.bots[0]?.resumeSpan ?? { firstAt: Number.NaN, lastAt: Number.NaN }
  return {
    name: change.name,
    moved: gaps.length,
    seconds: (span.lastAt - orderedAt) / 1000,
    resumeSeconds: (span.lastAt - span.firstAt) / 1000,
    identifies: after.discord.identifies - before.discord.identifies,
    resumes: after.discord.resumes - before.discord.resumes,
    events: after.bot.events - before.bot.events,
    lost: after.bot.lost,
    duplicates: after.bot.duplicates - before.bot.duplicates,
    longestGapMs: Math.max(...gaps),
    meanGapMs: Math.round(gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length),
    calmGapMs: Math.max(...calm),
    violations: violationsOf(after.discord) - violationsOf(before.discord),
    violationDetails: after.discord.violationDetails.slice(-5),
    mostOwners: after.discord.owners.most,
  }
}

async function begin(ending: AsyncDisposableStack, change: Change): Promise<World> {
  const { totalShards, totalWorkers, shardsPerWorker } = change
  const token = fakeToken()
  const directory = ending.adopt(new RunDirectory(), (d) => d.remove())
  // A bucket for each shard: how a bot starts is measured elsewhere.
  const bots = [{ token, maxConcurrency: totalShards }]
  const options = { bots, identifyWindowMs: WINDOW_MS, guildsPerShard: 1 }
  const simulator = ending.adopt(await SimulatorProcess.start(options), (s) => s.stop())
  const bot = ending.adopt(await BotProcess.start(), (b) => b.stop())
  const shape = { totalShards, totalWorkers, shardsPerWorker, windowMs: WINDOW_MS, token }
  const addresses = { discordUrl: simulator.url, sinkUrl: bot.url }
  const fleet = LocalFleet.start(ending, directory, { ...shape, ...addresses, intents: ['Guilds', 'GuildMessages'] })
  await until('every shard READY', TIMEOUT_MS, () => fleet.settled)
  await simulator.control('events-per-second', { value: EVENTS_PER_SECOND })
  return { simulator, bot, fleet }
}

/** The longest time without an event of each shard that moves. */
const gapsOf = ({ shards }: SampleBotStats, moves: Change['moves']): number[] =>
  Object.entries(shards).flatMap(([id, { longestSilenceMs }]) => (moves(Number(id)) ? [longestSilenceMs] : []))

/** Ends the traffic and waits until the bot has the last sequence of each session. @throws Error when it never does. */
async function deliveredToTheLast({
  simulator,
  bot,
}: World): Promise<{ discord: SimulatorStats; bot: SampleBotStats }> {
  await simulator.control('events-per-second', { value: 0 })
  await until('the last event of each session delivered', 30_000, async () => {
    const [discord, { shards }] = [await simulator.stats({ detail: true }), await bot.stats()]
    return Object.entries(discord.bots[0]?.shards ?? {}).every(
      ([key, { sessionId = '', sequences }]) => shards[key.split('/')[0] ?? '']?.sequence === sequences[sessionId],
    )
  })
  return { discord: await simulator.stats(), bot: await bot.stats() }
}

function report(runs: readonly Run[]): Part {
  const rows = runs.map((run) => {
    const perSecond = run.resumes / run.resumeSeconds
    const times = [run.seconds.toFixed(2), run.identifies, run.resumes, Math.round(perSecond)]
    const gaps = [run.longestGapMs, run.meanGapMs, run.calmGapMs]
    return [run.name, ...times, ...gaps, run.lost, run.duplicates].map(String)
  })
  const sum = (key: 'identifies' | 'lost' | 'violations') => runs.reduce((total, run) => total + run[key], 0)
  const most = Math.max(...runs.map(({ mostOwners }) => mostOwners))
  const resumed = runs.every(({ resumes, moved }) => resumes >= moved)
  return {
    name: 'sessions',
    about:
      `Local mode, real manager and sharder processes, ${EVENTS_PER_SECOND.toLocaleString('en')} events a second over all ` +
      'shards; the bot end checks every sequence. Seconds run from the order to the last RESUME, with the start of the ' +
      'processes. A gap is the longest time without an event of a shard that moves; "calm" is the longest before the change.',
    columns: ['change', 's', 'IDENTIFYs', 'RESUMEs', 'RESUMEs/s', 'longest gap ms', 'mean', 'calm', 'lost', 'twice'],
    rows,
    goals: [
      { text: `no IDENTIFY was spent: ${sum('identifies')}`, met: sum('identifies') === 0 },
      { text: 'every shard that moved was resumed', met: resumed },
      { text: `no event was lost: ${sum('lost')}`, met: sum('lost') === 0 },
      { text: `no shard had two live owners: at most ${most}`, met: most === 1 },
      { text: `no rule of Discord was broken: ${sum('violations')} violations`, met: sum('violations') === 0 },
    ],
    raw: runs,
  }
}
