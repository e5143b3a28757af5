/**
 * Every bound of what comes in from outside, with its reason: bytes, inflated bytes, items, depth, range, time,
 * connections. Whoever reads foreign input takes its bound from here. What is worked on in memory of our own (slabs,
 * scratch buffers) has its sizes where it is used.
 *
 * Units: bytes, milliseconds, pieces. A group is named after whoever says it.
 */

const KB = 1_024
const MB = 1_024 * KB
const SECOND = 1_000
const MINUTE = 60 * SECOND
const DAY = 24 * 60 * MINUTE

/** What the API server takes for an int32 field of a status. */
export const MAX_INT32 = 2 ** 31 - 1

/** Characters of foreign text in a condition, an event or a log field: enough for a sentence and its cause. */
export const MAX_FOREIGN_TEXT = 1_024

/** Shards of one bot: the largest bots have some 20,000; `spec.totalShards` takes no more. */
export const MAX_SHARDS = 100_000

/** What the REST proxy answers to GET /gateway/bot; real answers have 200 bytes. */
export const FROM_REST_PROXY = {
  answerBytes: 64 * KB,
  /** IDENTIFYs of a day: Discord grants 1,000 to some 25,000; the status has them as int32. */
  starts: MAX_INT32,
  /** Discord counts anew every day. */
  resetAfterMs: 7 * DAY,
  /** max_concurrency: the largest known is 64 or so. */
  concurrency: 1_000,
  /** A 429 is believed for so long: one wrong answer must not silence a bot for days. */
  retryAfterMs: 10 * MINUTE,
  urlLength: 512,
} as const

/** What Secrets hold. The API server takes a Secret of 1 MB; none of ours needs more than a small part of it. */
export const FROM_SECRETS = {
  /** A token, a key, a password. */
  valueBytes: 8 * KB,
  /** Certificates, NATS credentials. */
  fileBytes: 512 * KB,
  /** Sessions of one worker once they are inflated: 5,000 have 1.2 MB. */
  inflatedSessionsBytes: 8 * MB,
  /** Of these, for each shard: a session has 250 bytes, and 1.5 KB with the longest id and URL. */
  sessionBytes: 2 * KB,
} as const

/**
 * What a worker says. Its image is the user's: it is trusted with its own ShardCluster, and with nothing of the process
 * that manages many. "Per shard" is per shard that the worker may hold, or that the command named.
 */
export const FROM_WORKERS = {
  /** A refusal, or an answer that names no shard; real ones have 200 bytes. */
  answerBytes: 64 * KB,
  /** And for each shard that was asked about: a session has 250 bytes, and 1.5 KB with the longest id and URL. */
  answerBytesPerShard: 2 * KB,
  /** A line of the state stream without its shards: gateway options with a presence, withheld ranges, eight sinks. */
  lineBytes: 256 * KB,
  /** And for each shard: a record has 450 bytes, 650 with the longest reason, and a kept session 250. */
  lineBytesPerShard: 1.5 * KB,
  /** Whatever it holds: 5,000 shards, the most of one worker, have 8 MB with these numbers. */
  longestLineBytes: 16 * MB,
  /**
   * Bytes that a state stream brings each second on average: a checkpoint of every shard is 450 bytes a shard, and while
   * all of them come back another 1,500 for a second or two, which the burst covers.
   */
  bytesPerSecond: 64 * KB,
  bytesPerSecondPerShard: 2 * KB,
  /** Each piece that arrives counts as so much more: a byte at a time costs more than its byte. */
  pieceBytes: 64,
  /** Records a second: a worker gathers for 20 ms, which makes 50. */
  recordsPerSecond: 100,
  /** What a busy process or network held back for so long may come at once: a longer silence breaks the stream. */
  burstMs: 15 * SECOND,
  /** And of that no more bytes than sockets hold: a worker says fewer things, not more, while nobody reads. */
  burstBytes: 8 * MB,
  /** Records, and characters of them, that are taken in before every other ShardCluster has its turn. */
  recordsAtOnce: 16,
  charactersAtOnce: 256 * KB,
  /** `spec.shardsPerWorker` takes no more. */
  shards: 5_000,
  /** Shards that one record names: whatever one worker holds, of a bot of MAX_SHARDS. */
  shardsNamed: MAX_SHARDS,
  /** Ranges that a worker says it was told to withhold; a command has no more. */
  ranges: 10_000,
  /** Hand-overs leave a worker with its range and the one before, until others have taken the rest. */
  rangesHeld: 2,
  /** While a shard moves, two workers may be seen with it. */
  holdersOfShard: 2,
  /** spec.sinks takes no more. */
  sinks: 8,
  /** A name in spec.sinks has 63 characters at most. */
  nameLength: 256,
  /** Discord's reasons have 123 bytes at most; workers cut theirs at 200. */
  reasonLength: 256,
  /** Times are "ago": a process that is older than a year is as good as one of a year. */
  agoMs: 365 * DAY,
  /** A round trip: a heartbeat that took longer has ended the connection. */
  roundTripMs: 10 * MINUTE,
  /** The last command of the last term that counts exactly: see epochOf in src/domain/epoch.ts. */
  epoch: 9e15,
  /** A million events a second, for eight years. */
  sequence: 2 ** 48,
  /** WebSocket close codes have 16 bits. */
  closeCode: 65_535,
  /** Requests under way to one worker: one for each IDENTIFY that is out, and one hand-over. */
  commands: 512,
  /** And payloads that wait for the send limit of their shard; the bot API takes as many connections. */
  payloads: 1_024,
  /** One that broke a bound is asked again after up to so long. */
  longestPauseMs: 60 * SECOND,
} as const

/** Characters of what holds one worker up, in its row of the status: 1,000 rows must fit into an object of etcd's (1.5 MB). */
export const MAX_ROW_TEXT = 256

/** Connections and times of every server: none of them is behind a proxy that would do it. */
export const SERVERS = {
  /** Beyond this many open connections new ones are closed at once. */
  connections: 1_000,
  /** Headers of a request have come by then. */
  headersMs: 15 * SECOND,
  /** A whole request has come by then. */
  requestMs: 30 * SECOND,
  /** An idle connection is kept for so long. */
  keepAliveMs: 72 * SECOND,
} as const
