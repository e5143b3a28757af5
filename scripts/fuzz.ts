/**
 * `npm run fuzz [-- TIMES]`: the properties of every parser of what others say, tried TIMES (100) times as often as in the
 * suite: gateway, worker state, commands, session info, manifests, Secrets, the API for bots, paths of the REST proxy.
 * A failure prints the seed and the smallest value that shows it.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'

const PARSERS = [
  ...['test/unit/sharder/shard/payload-head.test.ts', 'test/unit/sharder/shard/inflater.test.ts'],
  ...['test/unit/sharder/shard/websocket/frame-reader.test.ts', 'test/unit/sharder/command-body.test.ts'],
  ...['test/unit/manager/state-records.test.ts', 'test/unit/manager/session-info.test.ts'],
  ...['test/unit/operator/sessions-secret.test.ts', 'test/unit/domain/secret-form.test.ts'],
  ...['test/unit/domain/gateway-host.test.ts', 'test/unit/local/manifest.test.ts'],
  ...['test/unit/bot-api/bearer.test.ts', 'test/unit/bot-api/shape.test.ts', 'test/unit/rest-proxy/passing.test.ts'],
]

const times = Number(process.argv[2] ?? 100)
if (!Number.isInteger(times) || times < 1) {
  console.error('npm run fuzz -- TIMES: a whole number, such as 100')
  process.exit(2)
}
const root = join(import.meta.dirname, '..')
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
const patience = String(3_600_000)
const args = [vitest, 'run', '--project', 'unit', `--testTimeout=${patience}`, ...PARSERS]
const env = { ...process.env, SHARDCLUSTER_FUZZ: String(times) }
const child = spawn(process.execPath, args, { cwd: root, env, stdio: 'inherit' })
child.once('close', (code) => process.exit(code ?? 1))
