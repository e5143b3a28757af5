import type { SecureContextOptions } from 'node:tls'
import type { TlsFiles } from '../src/protocol/worker-settings.ts'
import type { Clock } from '../src/support/clock.ts'
import { SecretFile } from './sinks/secret-file.ts'

/** The certificate that a worker serves TLS with: files that a kubelet changes while the process runs. */
export class ServingCertificate {
  readonly #certificate: SecretFile
  readonly #key: SecretFile

  constructor({ certificateFile, keyFile }: TlsFiles, clock: Clock) {
    this.#certificate = new SecretFile(certificateFile, clock)
    this.#key = new SecretFile(keyFile, clock)
  }

  /** As it is in the files now, or was some seconds ago. @throws Error that names the file which cannot be read. */
  async read(): Promise<Pick<SecureContextOptions, 'cert' | 'key'>> {
    const [cert, key] = await Promise.all([this.#certificate.text(), this.#key.text()])
    return { cert, key }
  }

  /** What was read is of no use: two files are read while a kubelet changes both. The next read looks again. */
  refused(): void {
    this.#certificate.refused()
    this.#key.refused()
  }
}
