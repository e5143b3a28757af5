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
} as const

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

/**
 * Commands to a worker: from the manager, or from whoever has its key. Largest is ASSIGN_SHARDS: 5,000 sessions of the
 * longest ids and URLs have 7 MB, of real ones 1.2 MB.
 */
export const FROM_MANAGER = {
  bodyBytes: 8 * MB,
  /** Every other command: 100,000 shard ids and a payload of 4 KB have 0.7 MB. */
  smallBodyBytes: MB,
  /** Of a body that is refused so much is read on, so that whoever sends it gets to read why. */
  discardedBytes: 32 * MB,
  /** Commands need 5, a presence with all that Discord knows 8; the rest is room for what Discord adds. */
  depth: 32,
  /** A range: `spec.shardsPerWorker` is at most 5,000, and the spec's rules keep every range within it. */
  rangeShards: 5_000,
  /** Shards that may be named at once: a worker that gives up one whole range while it has another holds two. */
  heldShards: 2 * 5_000,
  /** The manager joins neighbours, so that a range of 5,000 has 2,500 gaps at most; twice that. */
  withheldRanges: 5_000,
  /** A gateway version: Discord has 10. */
  gatewayVersion: 1_000,
  /** A slot lies at most so far ahead. */
  slotMs: MINUTE,
  /** Probes of workers are answered with what was found at most so long ago. */
  probeKeptMs: SECOND,
} as const

/** What Discord's gateway sends, or who stands in its place. */
export const FROM_GATEWAY = {
  /** A payload, inflated or not: a GUILD_CREATE of the largest guilds is a few MB. */
  payloadBytes: 64 * MB,
  /** All messages of a thread's shards that are unfinished, and what is being inflated: one of the longest payloads. */
  threadBytes: 64 * MB,
  /** Each of a frame, a fragmented message and an unfinished payload may have this besides: usual ones need no more. */
  allowanceBytes: 64 * KB,
  /** Headers of the answer to the upgrade: real ones have 1 KB. */
  upgradeHeaderBytes: 16 * KB,
  /** zstd: Discord's frames declare a window of 256 KB (2^18); one of more than 8 MB (2^23) is refused. */
  zstdWindowLog: 23,
} as const
