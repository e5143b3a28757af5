import { lstatSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { guardedFolder, type RunFolders } from './run-folders.ts'
import { isLeftOver, type RunningProcess, runOwner } from './run-name.ts'
import { runningProcess, thisProcess } from './running-process.ts'

/**
 * Removes the directories of this user's runs that ended without doing so themselves (kill -9, out of memory): a token
 * and keys are in them. Never one of a run that is alive, of another user, or that cannot be told for sure.
 * @returns what it removed.
 */
export function removeLeftOvers(
  { secret, large }: RunFolders,
  running: (pid: number) => RunningProcess | undefined = runningProcess,
): string[] {
  return [...new Set([secret, large])].flatMap((folder) => removeIn(folder, running))
}

function removeIn(path: string, running: (pid: number) => RunningProcess | undefined): string[] {
  const folder = guardedFolder(path)
  const uid = process.getuid?.()
  if (folder === undefined || uid === undefined) return []
  const self = { uid, machine: thisProcess().machine }
  const removed: string[] = []
  for (const name of namesIn(folder)) {
    if (!runOwner(name)) continue
    const at = join(folder, name)
    try {
      // Of the entry itself: a link is none, wherever it leads.
      const found = lstatSync(at)
      const entry = { name, isDirectory: found.isDirectory(), uid: found.uid, mode: found.mode }
      if (!isLeftOver(entry, self, running)) continue
      rmSync(at, { recursive: true, force: true })
      removed.push(at)
    } catch {
      // Another run is about to remove it as well, or it cannot be removed: no reason not to start.
    }
  }
  return removed
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
