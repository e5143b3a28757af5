import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runFolders } from './run-folders.ts'
import { runPrefix } from './run-name.ts'
import { thisProcess } from './running-process.ts'

/**
 * Secrets as files that only this user can read, and logs: what Secret volumes and `kubectl logs` are in Kubernetes.
 * It goes with its process, however that ends: what kill -9 leaves behind is for `removeLeftOvers`.
 */
export class RunDirectory {
  readonly path: string
  /** Logs grow, and a folder in memory is no place for that. */
  readonly #logs: string
  readonly #onExit = () => this.remove()

  constructor() {
    const { secret, large } = runFolders(process.env)
    const prefix = runPrefix(thisProcess())
    // mkdtemp makes it with mode 0700.
    this.path = mkdtempSync(join(secret, prefix))
    this.#logs = secret === large ? this.path : mkdtempSync(join(large, prefix))
    process.once('exit', this.#onExit)
  }

  /** @returns the file's path. */
  secret(name: string, value: string): string {
    const path = this.file(join('secrets', name))
    writeFileSync(path, value, { mode: 0o600 })
    return path
  }

  /** A path below the directory, with its folders made. */
  file(name: string): string {
    return prepared(this.path, name)
  }

  /** A path for a log, with its folders made. */
  log(name: string): string {
    return prepared(this.#logs, name)
  }

  /** A folder below the directory. @returns its path. */
  folder(name: string): string {
    const path = join(this.path, name)
    mkdirSync(path, { recursive: true, mode: 0o700 })
    return path
  }

  remove(): void {
    process.off('exit', this.#onExit)
    for (const path of new Set([this.path, this.#logs])) rmSync(path, { recursive: true, force: true })
  }
}

function prepared(directory: string, name: string): string {
  const path = join(directory, name)
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
  return path
}
