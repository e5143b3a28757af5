import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Secrets as files that only this user can read, and logs: what Secret volumes and `kubectl logs` are in Kubernetes. */
export class RunDirectory {
  readonly path: string

  constructor() {
    // mkdtemp makes it with mode 0700.
    this.path = mkdtempSync(join(tmpdir(), 'shardcluster-'))
  }

  /** @returns the file's path. */
  secret(name: string, value: string): string {
    const path = this.file(join('secrets', name))
    writeFileSync(path, value, { mode: 0o600 })
    return path
  }

  /** A path below the directory, with its folders made. */
  file(name: string): string {
    const path = join(this.path, name)
    mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
    return path
  }

  /** A folder below the directory. @returns its path. */
  folder(name: string): string {
    const path = join(this.path, name)
    mkdirSync(path, { recursive: true, mode: 0o700 })
    return path
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}
