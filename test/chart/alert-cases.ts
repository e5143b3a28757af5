/** What Prometheus has seen, and which alerts fire then: each once where it must, and once where it nearly would. */
export interface AlertCase {
  readonly name: string
  /** Series in promtool's notation, a sample a minute. */
  readonly series: Readonly<Record<string, string>>
  /** When to look, such as `20m`. */
  readonly at: string
  /** All alerts that fire. */
  readonly fire: readonly string[]
}

const BOT = 'cluster="bots/bot"'
/** An operator that leads and has nothing to say. */
const LEADING = { 'leader_election_master_status{name="shardcluster"}': '1x200' }
const shards = (connected: string) => ({
  [`shardcluster_shards{${BOT},state="Connected"}`]: connected,
  [`shardcluster_shards_desired{${BOT}}`]: '64x200',
})
const condition = (type: string, reason: string, value: string) => ({
  [`shardcluster_condition{${BOT},type="${type}",reason="${reason}"}`]: value,
})
const budget = (remaining: string) => ({
  [`shardcluster_identify_budget_remaining{${BOT}}`]: remaining,
  [`shardcluster_identify_budget_reserve{${BOT}}`]: '100x200',
  [`shardcluster_identify_budget_limit{${BOT}}`]: '1000x200',
})
const workers = (connected: string) => ({
  [`shardcluster_workers_desired{${BOT}}`]: '4x200',
  [`shardcluster_workers_connected{${BOT}}`]: connected,
})
const sink = (pending: string, events: string) => ({
  [`shardcluster_worker_sink_pending_events{${BOT},pod="bot-64-0",sink="nats"}`]: pending,
  [`shardcluster_worker_sink_events_total{${BOT},pod="bot-64-0",sink="nats"}`]: events,
})
/** A hundred batches a minute, of which so many were confirmed within five seconds. */
const delivery = (fast: number) => ({
  [`shardcluster_worker_sink_delivery_seconds_bucket{${BOT},sink="nats",le="5"}`]: `0+${fast}x200`,
  [`shardcluster_worker_sink_delivery_seconds_bucket{${BOT},sink="nats",le="30"}`]: '0+100x200',
  [`shardcluster_worker_sink_delivery_seconds_bucket{${BOT},sink="nats",le="+Inf"}`]: '0+100x200',
})
const identifies = (cause: string, samples: string) => ({
  [`shardcluster_identifies_total{${BOT},cause="${cause}",result="READY"}`]: samples,
})
const delay = (samples: string) => ({
  'shardcluster_worker_thread_event_loop_delay_seconds{namespace="bots",pod="bot-64-0"}': samples,
})
const errors = (samples: string) => ({
  'controller_runtime_reconcile_errors_total{controller="shardcluster"}': samples,
})

type Row = readonly [name: string, series: AlertCase['series'], at: string, ...fire: string[]]
const ROWS: readonly Row[] = [
  ['nothing is scraped', { 'leader_election_master_status{name="shardcluster"}': '_x30' }, '10m', 'OperatorNotLeading'],
  [
    'two stand by',
    { 'leader_election_master_status{name="shardcluster",pod="a"}': '0x30' },
    '10m',
    'OperatorNotLeading',
  ],
  ['one of two leads', { ...LEADING, 'leader_election_master_status{name="shardcluster",pod="a"}': '0x30' }, '10m'],
  ['another leads after three minutes', { 'leader_election_master_status{name="shardcluster"}': '0x3 1x30' }, '30m'],
  ['every reconciliation fails', { ...LEADING, ...errors('0+6x60') }, '30m', 'ReconcileFailing'],
  ['some failed, a while ago', { ...LEADING, ...errors('0+6x5 30x60') }, '30m'],
  ['the token is rejected', { ...LEADING, ...condition('Stalled', 'TokenRejected', '1x30') }, '10m', 'Stalled'],
  ['nothing is stalled', { ...LEADING, ...condition('Stalled', 'AsExpected', '0x30') }, '10m'],
  ['a sink is away', { ...LEADING, ...condition('Degraded', 'SinkUnavailable', '1x60') }, '30m', 'Degraded'],
  ['a sink was away for ten minutes', { ...LEADING, ...condition('Degraded', 'SinkUnavailable', '1x10 0x60') }, '30m'],
  ['some shards do not connect', { ...LEADING, ...shards('60x60') }, '40m', 'ShardsNotConnecting'],
  ['shards are gone for good', { ...LEADING, ...shards('64x10 60x60') }, '40m', 'ShardsNotConnecting'],
  ['a large start goes on', { ...LEADING, ...shards('0+1x63 63x5') }, '60m'],
  [
    'each worker of a rollout is away for a minute',
    { ...LEADING, ...shards('64 48 64 48 64 48 64 48'.repeat(1)) },
    '7m',
  ],
  ['every shard is connected', { ...LEADING, ...shards('64x60') }, '40m'],
  ['a worker is missing', { ...LEADING, ...workers('3x60') }, '20m', 'WorkersMissing'],
  [
    'one worker after the other is replaced',
    { ...LEADING, ...workers('4 3 3 4 3 3 4 3 3 4 3 3 4 3 3 4 3 3 4') },
    '18m',
  ],
  ['a rollout hangs', { ...LEADING, ...condition('Progressing', 'RollingOut', '1x100') }, '90m', 'RolloutStuck'],
  ['shards identify for hours', { ...LEADING, ...condition('Progressing', 'IdentifyingShards', '1x100') }, '90m'],
  ['the budget is nearly spent', { ...LEADING, ...budget('150x60') }, '10m', 'IdentifyBudgetLow'],
  ['the budget has enough', { ...LEADING, ...budget('250x60') }, '10m'],
  [
    'the budget is spent',
    { ...LEADING, ...condition('IdentifyBudgetAvailable', 'BudgetLow', '0x60') },
    '10m',
    'IdentifyBudgetExhausted',
  ],
  ['the budget is not known', { ...LEADING, ...condition('IdentifyBudgetAvailable', 'BudgetUnknown', '-1x60') }, '10m'],
  ['sessions are lost', { ...LEADING, ...shards('64x90'), ...identifies('Lost', '0+1x90') }, '80m', 'SessionsLost'],
  ['a few sessions end', { ...LEADING, ...shards('64x90'), ...identifies('Expired', '0x30 3x60') }, '80m'],
  ['a bot starts', { ...LEADING, ...shards('64x90'), ...identifies('New', '0+1x90') }, '80m'],
  ['a sink takes nothing', { ...LEADING, ...sink('10+5x60', '500x60') }, '20m', 'EventsNotTaken'],
  ['a sink takes what there is', { ...LEADING, ...sink('10x60', '0+50x60') }, '20m'],
  ['nothing happens at night', { ...LEADING, ...sink('0x60', '500x60') }, '20m'],
  ['a sink is slow', { ...LEADING, ...delivery(90) }, '30m', 'DeliverySlow'],
  ['a sink is fast', { ...LEADING, ...delivery(100) }, '30m'],
  ['a thread stands still', { ...LEADING, ...delay('12x30') }, '10m', 'ShardThreadBlocked'],
  ['a thread stood still once', { ...LEADING, ...delay('0 12 0x30') }, '10m'],
]

export const ALERT_CASES: readonly AlertCase[] = ROWS.map(([name, series, at, ...fire]) => ({
  ...{ name, series, at },
  fire: fire.map((alert) => `ShardCluster${alert}`),
}))
