import { randomBytes } from 'node:crypto'
import { credsAuthenticator, type NodeConnectionOptions, nkeys } from '@nats-io/transport-node'

type Pair = ReturnType<typeof nkeys.createUser>

const NO_LIMITS = { subs: -1, data: -1, payload: -1 }
const ACCOUNT_LIMITS = { ...NO_LIMITS, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 }
const JETSTREAM_LIMITS = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }

/** Who may connect to a NATS server, and how a client of the tests does. */
export interface NatsAccess {
  /** Lines of the server's configuration. */
  readonly configuration: string
  readonly client: NodeConnectionOptions
}

/** An operator of NATS with one account and one user of it: what `nsc` makes. */
export interface NatsAccounts extends NatsAccess {
  /** A credentials file. */
  readonly credentials: string
}

/** Makes keys and tokens: https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt */
export function natsAccounts(): NatsAccounts {
  const operator = nkeys.createOperator()
  const account = nkeys.createAccount()
  const system = nkeys.createAccount()
  const user = nkeys.createUser()
  const limits = { ...ACCOUNT_LIMITS, ...JETSTREAM_LIMITS }
  const operatorToken = sign(operator, operator, { type: 'operator' })
  const accountToken = sign(operator, account, { type: 'account', limits })
  const systemToken = sign(operator, system, { type: 'account', limits: ACCOUNT_LIMITS })
  const userToken = sign(account, user, { type: 'user', pub: {}, sub: {}, ...NO_LIMITS })
  const credentials = `-----BEGIN NATS USER JWT-----
${userToken}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${Buffer.from(user.getSeed()).toString()}
------END USER NKEY SEED------
`
  return {
    credentials,
    client: { authenticator: credsAuthenticator(Buffer.from(credentials)) },
    configuration: `operator: ${operatorToken}
system_account: ${system.getPublicKey()}
resolver: MEMORY
resolver_preload: { ${account.getPublicKey()}: ${accountToken}, ${system.getPublicKey()}: ${systemToken} }`,
  }
}

function sign(issuer: Pair, subject: Pair, nats: object): string {
  const claims = {
    jti: randomBytes(16).toString('hex'),
    iat: Math.floor(Date.now() / 1_000),
    iss: issuer.getPublicKey(),
    name: 'test',
    sub: subject.getPublicKey(),
    nats: { ...nats, version: 2 },
  }
  const part = (object: object) => Buffer.from(JSON.stringify(object)).toString('base64url')
  const body = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part(claims)}`
  return `${body}.${Buffer.from(issuer.sign(Buffer.from(body))).toString('base64url')}`
}
