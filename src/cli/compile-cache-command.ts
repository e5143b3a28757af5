import { readdirSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Command } from 'commander'

/** Where programs are; tests and scripts are not in an image. */
const FOLDERS = ['src', 'operator', 'sharder']

/** The program itself: it is loaded, and would wait for itself. */
const PROGRAM = 'src/cli/main.ts'

/** The body of a thread refuses to be loaded by anything else; by then it is compiled. */
const THREAD = 'sharder/thread.ts'

/** `shardcluster compile-cache`: loads every file once, so that Node keeps what it compiled (NODE_COMPILE_CACHE). */
export function compileCacheCommand(): Command {
  return new Command('compile-cache')
    .description('Fill the compile cache that NODE_COMPILE_CACHE names; the image is built with it')
    .action(async () => {
      const root = fileURLToPath(new URL('../..', import.meta.url))
      for (const folder of FOLDERS) {
        for (const entry of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
          const file = join(folder, entry)
          if (!file.endsWith('.ts') || file === PROGRAM) continue
          const loaded = import(pathToFileURL(join(root, file)).href)
          await (file === THREAD ? loaded.catch(() => {}) : loaded)
        }
      }
      flushCompileCache()
    })
}
