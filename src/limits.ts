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
  /** A connection without a byte while its request is answered: longer than the bot API's longest answer (65 s). */
  silenceMs: 2 * MINUTE,
  /** A refused body is read and thrown away for so long. */
  lingerMs: 2 * SECOND,
  /** How often a server looks at its connections: Node's own 30 s would double the times above. */
  checkMs: 5 * SECOND,
} as const

/** The REST proxy: what its callers send (each has the key), and what Discord answers. */
export const REST_PROXY = {
  /** One body: Discord takes attachments of 25 MiB and more from boosted servers. */
  bodyBytes: 100 * MB,
  /** Requests inside at once. */
  requests: 10_000,
  /** The part of the memory limit that bodies and answers under way may take; the rest is the process's own. */
  memoryShare: 1 / 4,
  /** No less: a few requests and one answer. */
  leastBudget: MB,
  /** What each request takes of it by itself: socket, headers, timers, a place in a queue. */
  requestBytes: 16 * KB,
  /** Read of an answer before its caller takes it; a longer one comes as fast as its caller reads. */
  heldAnswerBytes: 256 * KB,
  /** A whole upload has come by then: 100 MB in two minutes are 7 Mbit/s. */
  requestMs: 2 * MINUTE,
  /** How often a path may be escaped on top of itself. Discord's are once. */
  pathEscapes: 3,
  /** A rate limit is believed for so long: Discord counts nothing for longer than a day. */
  retryAfterMs: DAY,
  /** The log says once in this time that callers are refused, not for each of them. */
  refusalLogMs: MINUTE,
} as const

/** The simulated Discord: it stands in trials and tests, and bots of any size connect to it. */
export const SIMULATOR = {
  /** Every shard of the largest bot, and whoever asks for something. */
  connections: MAX_SHARDS + SERVERS.connections,
  /** Faults that it is told to make hang on purpose. */
  silenceMs: 10 * MINUTE,
} as const

/** The sample bot: what sharders send it. */
export const SAMPLE_BOT = {
  /** A batch is at most a few hundred KB; a single READY of a large shard may be some MB. */
  batchBytes: 64 * MB,
  /** Event types that are told apart: Discord has some 80. */
  types: 500,
} as const

/** TLS between the operator and its workers. */
export const WORKER_TLS = {
  /** One certificate or key as PEM; ours have less than 1 KB. */
  pemBytes: 8 * KB,
  /** Authorities that are trusted at once: the present one, and those before it that may still be in use. */
  authorities: 4,
  /** By then a connection to a worker has said whether it speaks TLS, and its handshake is over. */
  helloMs: 15 * SECOND,
  /** By then a worker has taken a connection, and its handshake is over. */
  connectMs: 5 * SECOND,
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
