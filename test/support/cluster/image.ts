import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { Cluster, Program } from './cluster.ts'
import { kitBaseImage, type Log } from './kit.ts'
import { openRegistryPassage } from './registry.ts'
import { run } from './run.ts'

const ROOT = join(import.meta.dirname, '..', '..', '..')

/** What the Dockerfile copies. The image is a function of these and of its base; its tag is their hash. */
const INPUT_FILES = ['Dockerfile', '.dockerignore', 'package.json', 'package-lock.json']
const INPUT_DIRECTORIES = ['src', 'operator', 'sharder']

/** npm installs some hundred packages in a cold build. */
const BUILD_TIMEOUT = 900_000

export interface ImageOptions {
  readonly log: Log
  /** Name without tag. Default: `shardcluster`. */
  readonly repository?: string
  /** Where the sources are. Default: this checkout. */
  readonly directory?: string
}

/**
 * Builds the project's image with its own Dockerfile on the cluster's engine, loads it on every node and answers its
 * name with tag. Unchanged content is neither built nor loaded again. For a given cluster that is no kind cluster it
 * answers SHARDCLUSTER_TEST_IMAGE, which that cluster must be able to pull.
 */
export async function buildImage(
  cluster: Cluster,
  { log, repository = 'shardcluster', directory = ROOT }: ImageOptions,
): Promise<string> {
  const given = process.env['SHARDCLUSTER_TEST_IMAGE']
  if (given) return given
  const { docker } = cluster
  if (!docker) throw new Error('this cluster is no kind cluster: push the image and name it in SHARDCLUSTER_TEST_IMAGE')

  const base = cluster.way === 'kit' ? await offlineBase(log) : undefined
  const image = `${repository}:${contentHash(directory, base ?? '')}`
  if (await exists(docker, image)) {
    log(`image ${image}: built already`)
  } else {
    log(`image ${image}: building`)
    await build(cluster, docker, { image, base, directory, log })
  }
  log(`image ${image}: loading it on the nodes`)
  await cluster.loadImage(image)
  return image
}

async function exists(docker: Program, image: string): Promise<boolean> {
  return (await docker(['image', 'ls', '--quiet', image])).trim() !== ''
}

interface Build {
  readonly image: string
  readonly base: string | undefined
  readonly directory: string
  readonly log: Log
}

async function build(cluster: Cluster, docker: Program, { image, base, directory, log }: Build): Promise<void> {
  const timeoutMs = BUILD_TIMEOUT
  if (!base) return void (await docker(['build', '--tag', image, directory], { timeoutMs, onLine: log }))
  const registry = await openRegistryPassage(cluster.hostAddress)
  try {
    const buildArguments = ['--build-arg', `BASE_IMAGE=${base}`, '--build-arg', `npm_config_registry=${registry.url}`]
    // The engine of the kit has no BuildKit front end to pull; its classic builder needs none.
    const options = { timeoutMs, env: { DOCKER_BUILDKIT: '0' } }
    await docker(['build', '--force-rm', ...buildArguments, '--tag', image, directory], options)
    await removeOlder(docker, image)
  } finally {
    await registry.close()
  }
}

/** Every change makes another image; on the kit's own engine nobody else would ever remove them. */
async function removeOlder(docker: Program, image: string): Promise<void> {
  const [repository = image] = image.split(':')
  const listed = await docker(['image', 'ls', '--format', '{{.Repository}}:{{.Tag}}', repository])
  const older = listed.split('\n').filter((other) => other && other !== image)
  if (older.length > 0) await docker(['image', 'rm', ...older])
}

/** The base image of an engine that can pull none: Debian with this project's own Node and this machine's npm. */
async function offlineBase(log: Log): Promise<string> {
  const link = join(ROOT, 'node_modules', '.bin', 'node')
  if (!existsSync(link)) throw new Error(`${link} does not exist: run npm ci`)
  const node = realpathSync(link)
  // Below "npm run" npm says where it is. "npm root --global" does not: it answers for the Node that happens to run it.
  const entry = process.env['npm_execpath'] ?? (await run('sh', ['-c', 'command -v npm'])).trim()
  const npm = join(realpathSync(entry), '..', '..')
  if (!existsSync(join(npm, 'bin', 'npm-cli.js'))) throw new Error(`npm is not where ${entry} leads: run this by npm`)
  return await kitBaseImage(node, npm, log)
}

/** The hash of everything that goes into the image, by path and content. */
function contentHash(directory: string, base: string): string {
  const hash = createHash('sha256').update(base)
  for (const file of [...INPUT_FILES, ...INPUT_DIRECTORIES.flatMap((part) => filesBelow(directory, part))]) {
    hash.update(`\0${file}\0`).update(readFileSync(join(directory, file)))
  }
  return hash.digest('hex').slice(0, 12)
}

function filesBelow(directory: string, part: string): string[] {
  return readdirSync(join(directory, part), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort()
}
