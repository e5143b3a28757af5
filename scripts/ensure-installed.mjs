/**
 * Installs the packages when they are not there, or not those of package-lock.json. Plain JavaScript without
 * packages: it runs before there are any, on whatever Node the machine has.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stamp = join(root, 'node_modules', '.installed')
const wanted = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex')
const node = join(root, 'node_modules', '.bin', 'node')

const installed = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && existsSync(node)

if (!installed()) {
  console.error('Installing the packages of package-lock.json (once) ...')
  const npm = process.env['npm_execpath']
  const [command, first] = npm ? [process.execPath, [npm]] : ['npm', []]
  // `ci` takes exactly what is locked. Development packages too, whatever NODE_ENV says: Node itself is one of them.
  const { status } = spawnSync(
    command,
    [...first, 'ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  )
  if (status !== 0) {
    console.error('npm ci failed: see above. The packages come from the registry that npm is configured for.')
    process.exit(status ?? 1)
  }
  writeFileSync(stamp, wanted)
}
