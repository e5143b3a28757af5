import { z } from 'zod'
import type { GatewayConnection } from './connection.ts'
import { matches, type ShardSelection } from './faults.ts'
import type { Gateway } from './gateway.ts'
import { HEARTBEAT_REQUEST, INVALID_SESSION, INVALID_SESSION_RESUMABLE, RECONNECT } from './payloads.ts'
import type { BotRules } from './rules/index.ts'
import type { Traffic } from './traffic.ts'

const selection = {
  /** Omitted: all shards. */
  shards: z.array(z.int().nonnegative()).min(1).optional(),
  totalShards: z.int().positive().optional(),
}
const limits = {
  /** The fault ends after this long, or after so many hits; neither: until cleared; 0 ends it now. */
  milliseconds: z.number().nonnegative().optional(),
  count: z.int().nonnegative().optional(),
}
const bot = { applicationId: z.string().optional() }

/** Every command of `POST /control/<command>` and what it takes. */
export const controlSchemas = {
  /** Cuts TCP connections without a close frame. */
  'drop-sockets': z.strictObject(selection),
  /** The connections stay and their heartbeats are answered, but no event is sent to them any more. */
  forget: z.strictObject(selection),
  /** Closes with a code of Discord's choice. */
  close: z.strictObject({ ...selection, code: z.int().min(1000).max(4999) }),
  /** Op 7. */
  reconnect: z.strictObject(selection),
  /** Op 9; not resumable also ends the session. */
  invalidate: z.strictObject({ ...selection, resumable: z.boolean().default(false) }),
  /** Op 1: the client shall beat at once. */
  'request-heartbeat': z.strictObject(selection),
  'no-heartbeat-ack': z.strictObject({ ...selection, ...limits }),
  'refuse-connects': z.strictObject({
    ...limits,
    mode: z.union([z.enum(['reset', 'hang']), z.int().min(400).max(599)]).default('reset'),
  }),
  'silence-hello': z.strictObject(limits),
  /** Milliseconds between IDENTIFY and READY, from now on. */
  'delay-ready': z.strictObject({ milliseconds: z.number().nonnegative() }),
  /** REST answers with `status` (without: the real answer) after `delayMs`. */
  'http-errors': z.strictObject({
    ...limits,
    status: z.int().min(400).max(599).optional(),
    delayMs: z.number().nonnegative().default(0),
    retryAfter: z.number().positive().default(1),
  }),
  'events-per-second': z.strictObject({ value: z.number().nonnegative() }),
  /** `count` events to each selected shard, as fast as its socket takes them. */
  burst: z.strictObject({ ...selection, count: z.int().positive() }),
  'max-concurrency': z.strictObject({ ...bot, value: z.int().positive() }),
  remaining: z.strictObject({ ...bot, value: z.int().nonnegative() }),
  'clear-faults': z.strictObject({}),
  'reset-violations': z.strictObject({}),
} as const

/** The name of a control command. */
export type ControlCommand = keyof typeof controlSchemas
/** What command `K` takes, before defaults. */
export type ControlInput<K extends ControlCommand> = z.input<(typeof controlSchemas)[K]>
/** How many shards, connections or bots a command reached; 0 for one that only sets something. */
export interface ControlResult {
  readonly affected: number
}

interface Controlled {
  readonly gateway: Gateway
  readonly traffic: Traffic
}
type Actions = {
  readonly [K in ControlCommand]: (on: Controlled, input: z.output<(typeof controlSchemas)[K]>) => number
}

const ACTIONS: Actions = {
  'drop-sockets': ({ gateway }, input) => each(gateway, input, (connection) => connection.drop()),
  forget: ({ gateway }, input) => each(gateway, input, (connection) => connection.forget()),
  close: ({ gateway }, input) => each(gateway, input, (connection) => connection.close(input.code)),
  reconnect: ({ gateway }, input) => each(gateway, input, (connection) => connection.send(RECONNECT)),
  invalidate: ({ gateway }, input) =>
    each(gateway, input, (connection) => {
      connection.send(input.resumable ? INVALID_SESSION_RESUMABLE : INVALID_SESSION)
      if (!input.resumable) connection.endSession()
    }),
  'request-heartbeat': ({ gateway }, input) => each(gateway, input, (connection) => connection.send(HEARTBEAT_REQUEST)),
  'no-heartbeat-ack': ({ gateway }, input) => none(() => gateway.faults.stopHeartbeatAcks(input, input)),
  'refuse-connects': ({ gateway }, input) => none(() => gateway.faults.refuseConnects(input.mode, input)),
  'silence-hello': ({ gateway }, input) => none(() => gateway.faults.silenceHello(input)),
  'delay-ready': ({ gateway }, input) => none(() => gateway.faults.delayReady(input.milliseconds)),
  'http-errors': ({ gateway }, input) => none(() => gateway.faults.breakHttp(input, input)),
  'events-per-second': ({ traffic }, input) => none(() => traffic.setRate(input.value)),
  burst: ({ traffic }, input) => traffic.burst(input, input.count),
  'max-concurrency': ({ gateway }, input) =>
    eachBot(gateway, input.applicationId, (rules) => rules.setMaxConcurrency(input.value)),
  remaining: ({ gateway }, input) => eachBot(gateway, input.applicationId, (rules) => rules.setRemaining(input.value)),
  'clear-faults': ({ gateway }) => none(() => gateway.faults.clear()),
  'reset-violations': ({ gateway }) => {
    gateway.anonymous.reset()
    return eachBot(gateway, undefined, (rules) => rules.violations.reset())
  },
}

/** Runs one command. Throws a ZodError when `input` is not what it takes. */
export function runControl<K extends ControlCommand>(on: Controlled, command: K, input: unknown): ControlResult {
  const parsed = controlSchemas[command].parse(input ?? {}) as z.output<(typeof controlSchemas)[K]>
  return { affected: ACTIONS[command](on, parsed) }
}

/** Whether `name` is a command. */
export function isControlCommand(name: string): name is ControlCommand {
  return Object.hasOwn(controlSchemas, name)
}

function each(gateway: Gateway, selected: ShardSelection, action: (connection: GatewayConnection) => void): number {
  const connections = [...gateway.connections].filter(({ session }) => matches(selected, session?.shard))
  for (const connection of connections) action(connection)
  return connections.length
}

function eachBot(
  gateway: Gateway,
  applicationId: string | undefined,
  action: (rules: BotRules<GatewayConnection>) => void,
): number {
  const bots = [...gateway.bots.all()].filter((b) => applicationId === undefined || b.applicationId === applicationId)
  for (const { rules } of bots) action(rules)
  return bots.length
}

/** A command that only sets something reaches nobody. */
function none(set: () => void): number {
  set()
  return 0
}
