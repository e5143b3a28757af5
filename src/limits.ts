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

/** What bots, and whoever else reaches the port, may ask of the API for bots. */
export const FROM_BOTS = {
  /** A payload has 4 KB; written as \uXXXX it has six times that. */
  bodyBytes: 32 * KB,
  /** Arrays and objects in one another; the deepest payload that Discord takes has 6. */
  jsonDepth: 16,
  /** The authorization header, with its scheme. */
  authorizationBytes: 1 * KB,
  /** Shards in one answer, and shards that one question to the main thread is about. */
  pageShards: 1_000,
  /** Characters of the reason of a close; Discord's own has 123 bytes at most. */
  reasonLength: 256,
  /** Requests a second and ShardCluster, on and on. */
  requestsPerSecond: 50,
  /** Requests that need not wait for that: what one shard may send in its minute, and the rest of a start. */
  requestsAtOnce: 200,
  /** What an answer about many shards counts. */
  largeCosts: 10,
  /** Requests under way, most of which wait for the send limit of their shard: of one ShardCluster, and of all. */
  underWay: 256,
  underWayInAll: 1_000,
  /** So many each ShardCluster may have under way whatever the others do. */
  underWayAlways: 16,
  /**
   * Requests about all shards under way of one ShardCluster: pages that are made or read, payloads that are sent. Of one
   * namespace, and in all: a page has 500 KB at most.
   */
  largeAtOnce: { read: 1, sent: 4 },
  largeOfNamespace: 16,
  largeInAll: 64,
  /** A large answer is read by then, or its connection is closed. */
  largeReadMs: 15 * SECOND,
  /** Shards that an answer names as not reached; it counts the others. */
  namedNotSent: 1_000,
  /** Elements of an array in a payload; Discord's own limit of user ids. */
  payloadItems: 100,
  /** Characters of a string in a payload of which nothing else is known. */
  payloadText: 512,
  /** The summary of a ShardCluster is as old as that. */
  summaryMs: 1 * SECOND,
} as const

/** Requests that carry no valid key: nobody knows who sends them. */
export const FROM_STRANGERS = {
  /** Requests a second and remote address, and those that need not wait for that. */
  requestsPerSecond: 10,
  requestsAtOnce: 100,
  /** Remote addresses and ShardClusters that are counted at once; the one that asked least lately is forgotten. */
  counted: 10_000,
  /** Refusals that are on their way at once, in all. */
  underWay: 1_000,
  /** Every refusal of a key takes a multiple of this: nothing about the ShardCluster shows in its time. */
  refusalMs: 500,
} as const

/** Questions of the threads that serve strangers, in the main thread. */
export const FROM_THREADS = {
  /** Questions under way of one thread. */
  questions: 4_000,
  /** Questions of one ShardCluster, and of all, that wait for their turn: the pages of the largest bot, and more. */
  waiting: 128,
  waitingInAll: 1_024,
  /** Shards that are looked at in one turn of the event loop. */
  shardsPerTurn: 100,
} as const

/** The port of probes and metrics, which Prometheus and whoever else can reach it ask. */
export const FROM_PROBES = {
  connections: 128,
  /** The main thread is asked how it is once in so long at most; who asks in between is told the next answer. */
  paceMs: 50,
  /** The main thread answers by then, or does not turn. Below the 5 s that the kubelet waits. */
  answerMs: 4 * SECOND,
  /** Metrics are collected once in so long at most. */
  metricsMs: 1 * SECOND,
  /** They are collected by then, or not at all. */
  metricsAnswerMs: 30 * SECOND,
  /** A whole request has come by then; probes have no body. */
  requestMs: 10 * SECOND,
  /** A connection without a byte. */
  silenceMs: 60 * SECOND,
} as const
