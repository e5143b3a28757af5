import { lstatSync, realpathSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { isAbsolute } from 'node:path'

/** Where runs make their directories. */
export interface RunFolders {
  /** For secrets: in memory and gone with the login where there is such a folder, which is `XDG_RUNTIME_DIR`. */
  readonly secret: string
  /** For what grows: the folder for temporary files. */
  readonly large: string
}

/** `XDG_RUNTIME_DIR` is taken when it is what its specification says: this user's own, and nobody else may look. */
export function runFolders(environment: Readonly<Record<string, string | undefined>>): RunFolders {
  const large = tmpdir()
  const runtime = environment['XDG_RUNTIME_DIR']
  return { secret: runtime !== undefined && isPrivate(runtime) ? runtime : large, large }
}

/**
 * The folder behind a path, when nobody but this user and root can put something else in the place of what is this
 * user's in it; undefined otherwise, and where files have no owner (Windows).
 */
export function guardedFolder(path: string): string | undefined {
  const uid = process.getuid?.()
  if (uid === undefined) return undefined
  try {
    const real = realpathSync(path)
    const { uid: owner, mode } = statSync(real)
    const sticky = (mode & 0o1000) !== 0
    const writable = (mode & 0o022) !== 0
    return (owner === uid || owner === 0) && (sticky || !writable) ? real : undefined
  } catch {
    return undefined
  }
}

function isPrivate(path: string): boolean {
  const uid = process.getuid?.()
  if (uid === undefined || !isAbsolute(path)) return false
  try {
    const found = lstatSync(path)
    return found.isDirectory() && found.uid === uid && (found.mode & 0o777) === 0o700
  } catch {
    return false
  }
}
