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
// Node itself is one of the packages, where there is one for this platform; elsewhere the one that runs this will do.
const NODE = 24
const hasNode = () =>
  existsSync(join(root, 'node_modules', '.bin', 'node')) || Number(process.versions.node.split('.')[0]) >= NODE

const installed = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && hasNode()

if (!installed()) {
  console.error('Installing the packages of package-lock.json (once) ...')
  const npm = process.env['npm_execpath']
  const [command, first] = npm ? [process.execPath, [npm]] : ['npm', []]
  // `ci` takes exactly what is locked, checks it, and runs none of its scripts: no package here needs one.
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  // Development packages too, whatever NODE_ENV says, and those of one platform: Node is such a package.
  const { status } = spawnSync(command, [...first, 'ci', '--include=dev', '--include=optional', ...flags], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (status !== 0) {
    console.error('npm ci failed: see above. The packages come from the registry that npm is configured for.')
    process.exit(status ?? 1)
  }
  if (!hasNode()) {
    console.error(
      `package-lock.json has no Node for ${process.platform}-${process.arch}, and this is ${process.version}: install Node ${NODE} and try again.`,
    )
    process.exit(1)
  }
  writeFileSync(stamp, wanted)
}
