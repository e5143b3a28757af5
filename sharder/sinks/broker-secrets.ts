import { readFile } from 'node:fs/promises'
import type { Clock } from '../../src/support/clock.ts'
import { Refused } from './publisher.ts'
import { SecretFile } from './secret-file.ts'

/** The files of a broker's settings. */
export interface BrokerFiles {
  readonly usernameFile?: string | undefined
  readonly passwordFile?: string | undefined
  /** A NATS credentials file. */
  readonly credentialsFile?: string | undefined
  readonly tls?: { readonly caFile?: string | undefined } | undefined
}

/** What a connection is made with. */
export interface BrokerCredentials {
  readonly username: string | undefined
  readonly password: string | undefined
  readonly credentials: string | undefined
  /** undefined: no encryption is asked for; without `ca`: the well-known authorities. */
  readonly tls: { readonly ca?: string } | undefined
}

/** A broker's credentials, read from their files whenever a connection is made. */
export class BrokerSecrets {
  readonly #files: BrokerFiles
  readonly #secrets: Readonly<Record<'username' | 'password' | 'credentials', SecretFile | undefined>>
  readonly #encrypted: boolean

  /** `encrypted`: the URL says so. */
  constructor(files: BrokerFiles, encrypted: boolean, clock: Clock) {
    const secret = (path: string | undefined) => (path === undefined ? undefined : new SecretFile(path, clock))
    this.#files = files
    this.#encrypted = encrypted || files.tls !== undefined
    this.#secrets = {
      username: secret(files.usernameFile),
      password: secret(files.passwordFile),
      credentials: secret(files.credentialsFile),
    }
  }

  /** @throws Refused that names the file which cannot be read, never what is in it. */
  async read(): Promise<BrokerCredentials> {
    const { username, password, credentials } = this.#secrets
    const { caFile } = this.#files.tls ?? {}
    try {
      const ca = caFile === undefined ? undefined : await readFile(caFile, 'utf8')
      return {
        username: await username?.text(),
        password: await password?.text(),
        credentials: await credentials?.text(),
        tls: this.#encrypted ? { ...(ca !== undefined && { ca }) } : undefined,
      }
    } catch (error) {
      throw new Refused({ kind: 'unauthorized', message: (error as Error).message }, { cause: error })
    }
  }

  /** They were refused: read again next time. */
  refused(): void {
    for (const secret of Object.values(this.#secrets)) secret?.refused()
  }
}
