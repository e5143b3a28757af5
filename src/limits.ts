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
  /** A connection without a byte while its request is answered: longer than the bot API's longest answer (65 s). */
  silenceMs: 2 * MINUTE,
  /** A refused body is read and thrown away for so long. */
  lingerMs: 2 * SECOND,
  /** How often a server looks at its connections: Node's own 30 s would double the times above. */
  checkMs: 5 * SECOND,
} as const
