import { JetStreamApiError, type JetStreamClient, jetstream } from '@nats-io/jetstream'
import { connect, credsAuthenticator, errors, type NatsConnection } from '@nats-io/transport-node'
import type { NatsSettings } from '../../src/protocol/sink-settings.ts'
import type { BrokerLink } from './broker-publisher.ts'
import type { BrokerCredentials } from './broker-secrets.ts'
import { inShardOrder } from './in-shard-order.ts'
import { messageOf, type Naming } from './message.ts'
import { Refused } from './publisher.ts'
import type { Slab } from './slab.ts'

const CONNECT_TIMEOUT_MS = 5_000
const ACK_TIMEOUT_MS = 10_000
/** With two unanswered pings a cut network is noticed. */
const PING_MS = 10_000

/** Connects to NATS. @throws Refused when the server does not want the credentials. */
export async function connectNats(
  settings: NatsSettings,
  { username, password, credentials, tls }: BrokerCredentials,
  naming: Naming,
): Promise<BrokerLink> {
  const login = (pass: string) => (username === undefined ? { token: pass } : { user: username, pass })
  try {
    const connection = await connect({
      servers: settings.servers,
      ...(password !== undefined && login(password)),
      // The parser wants a line feed at the end, which a secret loses when it is read.
      ...(credentials !== undefined && { authenticator: credsAuthenticator(Buffer.from(`${credentials}\n`)) }),
      ...(tls && { tls }),
      timeout: CONNECT_TIMEOUT_MS,
      pingInterval: PING_MS,
      // Another connection is made with credentials that are read anew.
      reconnect: false,
      name: 'shardcluster',
    })
    return new NatsLink(connection, settings, naming)
  } catch (error) {
    throw refused(error, '')
  }
}

/** Events as JetStream messages: each is confirmed when a stream has acknowledged it. */
class NatsLink implements BrokerLink {
  readonly #connection: NatsConnection
  readonly #client: JetStreamClient
  readonly #naming: Naming
  readonly #expect: { readonly expect?: { readonly streamName: string } }

  constructor(connection: NatsConnection, { stream }: NatsSettings, naming: Naming) {
    this.#connection = connection
    this.#client = jetstream(connection, { timeout: ACK_TIMEOUT_MS })
    this.#naming = naming
    this.#expect = stream === undefined ? {} : { expect: { streamName: stream } }
  }

  get usable(): boolean {
    return !this.#connection.isClosed()
  }

  async publish(slab: Slab): Promise<void> {
    const failure = await inShardOrder(slab, Number.POSITIVE_INFINITY, async (i) => {
      const { topic, id } = messageOf(slab, i, this.#naming)
      try {
        await this.#client.publish(topic, slab.event(i), { ...(id !== undefined && { msgID: id }), ...this.#expect })
      } catch (error) {
        throw refused(error, topic)
      }
    })
    if (failure !== undefined) throw failure.error
  }

  async close(): Promise<void> {
    await this.#connection.close()
  }
}

function refused(error: unknown, subject: string): unknown {
  if (error instanceof errors.AuthorizationError || error instanceof errors.UserAuthenticationExpiredError)
    return new Refused(
      { kind: 'unauthorized', message: 'NATS refused the credentials: put the right ones into their Secret' },
      { cause: error },
    )
  if ((error as Error).message === 'unable to parse credentials')
    return new Refused({
      kind: 'unauthorized',
      message: 'the credentials are no NATS credentials file: put what nsc makes into their Secret',
    })
  if (error instanceof errors.InvalidArgumentError && error.message.includes('max_payload'))
    return new Refused({
      kind: 'failed',
      message: `an event for ${subject} is larger than max_payload of the server: raise it, 8 MB is enough for any guild`,
    })
  const permission = permissionViolation(error)
  if (permission)
    return new Refused(
      { kind: 'unauthorized', message: `NATS lets this user not ${permission}: give it that right` },
      { cause: error },
    )
  return notTaken(error, subject)
}

/** What JetStream itself says. */
function notTaken(error: unknown, subject: string): unknown {
  if (error instanceof JetStreamApiError) {
    const message = `JetStream refused an event for ${subject} (${error.message}): see the stream's limits and state`
    return new Refused({ kind: 'failed', message }, { cause: error })
  }
  if (hasCause(error, errors.NoRespondersError) || (error as Error).name === 'JetStreamNotEnabled') {
    const message = `no JetStream stream takes the subject ${subject}: create one, or wait until it has a leader`
    return new Refused({ kind: 'failed', message }, { cause: error })
  }
  if (hasCause(error, errors.TimeoutError)) {
    const message = `JetStream did not acknowledge an event within ${ACK_TIMEOUT_MS / 1_000} s`
    return new Refused({ kind: 'failed', message }, { cause: error })
  }
  return error
}

function permissionViolation(error: unknown): string | undefined {
  if (error instanceof errors.PermissionViolationError) return `${error.operation} ${error.subject}`
  return error instanceof Error ? permissionViolation(error.cause) : undefined
}

function hasCause(error: unknown, kind: abstract new (...args: never[]) => Error): boolean {
  if (error instanceof kind) return true
  return error instanceof Error && hasCause(error.cause, kind)
}
