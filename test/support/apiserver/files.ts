import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A user the API server knows by a bearer token. */
export interface TokenUser {
  readonly name: string
  /** Groups decide rights: `system:masters` may do everything. Default: none. */
  readonly groups?: readonly string[]
}

/** Paths of what an API server is started with; tokens by user name. */
export interface ApiServerFiles {
  readonly serviceAccountKey: string
  readonly tokenFile: string
  readonly tokens: ReadonlyMap<string, string>
  readonly certificates: string
  readonly etcdData: string
  readonly logs: { readonly apiServer: string; readonly etcd: string }
}

/** The administrator every server has. */
export const ADMIN: TokenUser = { name: 'admin', groups: ['system:masters'] }

/** Writes keys and tokens below `directory`, or takes what an earlier server left there. */
export function prepareFiles(directory: string, users: readonly TokenUser[]): ApiServerFiles {
  const certificates = join(directory, 'certificates')
  mkdirSync(certificates, { recursive: true })
  const serviceAccountKey = join(directory, 'service-account.pem')
  if (!existsSync(serviceAccountKey)) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    writeFileSync(serviceAccountKey, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  }
  const tokens = new Map([ADMIN, ...users].map(({ name }) => [name, randomBytes(16).toString('hex')]))
  const tokenFile = join(directory, 'tokens.csv')
  const rows = [ADMIN, ...users].map(
    ({ name, groups = [] }) => `${tokens.get(name)},${name},${name},"${groups.join(',')}"`,
  )
  writeFileSync(tokenFile, `${rows.join('\n')}\n`, { mode: 0o600 })
  return {
    serviceAccountKey,
    tokenFile,
    tokens,
    certificates,
    etcdData: join(directory, 'etcd'),
    logs: { apiServer: join(directory, 'kube-apiserver.log'), etcd: join(directory, 'etcd.log') },
  }
}

/** A kubeconfig (JSON is YAML) for one user of the server at `url`, which must have started once. */
export function kubeconfigFor(url: string, certificates: string, user: string, token: string): string {
  const authority = readFileSync(join(certificates, 'apiserver.crt')).toString('base64')
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': user,
    clusters: [{ name: 'test', cluster: { server: url, 'certificate-authority-data': authority } }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: user, context: { cluster: 'test', user } }],
  })
}
