import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { SHARDER_PORT } from '../../../operator/manifests/pod.ts'
import { type StateRecord, stateRecordSchema } from '../../../src/protocol/state.ts'
import type { PodStart, PodWorker } from './pod-worker.ts'

const SHARDER = join(import.meta.dirname, '..', '..', '..', 'sharder', 'main.ts')

/** The real sharder as a process of its own, with the environment that its manifest says. */
export class SharderProcess implements PodWorker {
  readonly #child: ChildProcess
  readonly #directory: string
  readonly #start: PodStart
  readonly #written = new Map<string, string>()
  readonly #exited: Promise<unknown>

  private constructor(start: PodStart) {
    this.#start = start
    this.#directory = mkdtempSync(join(tmpdir(), `${start.name}-`))
    this.mounted()
    const paths = { '/etc/shardcluster': this.#directory, '/var/lib/shardcluster': this.#directory }
    const environment: Record<string, string> = {}
    for (const [name, value] of Object.entries(start.environment))
      environment[name] = Object.entries(paths).reduce((text, [inPod, here]) => text.replaceAll(inPod, here), value)
    const { PATH = '', HOME = '' } = process.env
    this.#child = spawn(process.execPath, [SHARDER], {
      // The channel lets it notice when the tests are gone.
      stdio: ['ignore', 'pipe', process.env['TEST_LOG_LEVEL'] ? 'inherit' : 'ignore', 'ipc'],
      env: { PATH, HOME, ...environment, SHARDCLUSTER_HOST: start.host },
    })
    this.#exited = once(this.#child, 'close')
  }

  static async start(start: PodStart): Promise<SharderProcess> {
    const sharder = new SharderProcess(start)
    const { stdout } = sharder.#child
    if (!stdout) throw new Error('the sharder has no standard output')
    await Promise.race([
      once(createInterface({ input: stdout }), 'line'),
      sharder.#exited.then(() => Promise.reject(new Error(`the sharder ${start.name} ended while starting`))),
    ])
    return sharder
  }

  /** As a kubelet does, who changes files by symbolic links: never half of one. */
  mounted(): void {
    for (const [name, text] of this.#start.files) {
      if (this.#written.get(name) === text) continue
      const path = join(this.#directory, name)
      writeFileSync(`${path}~`, text, { mode: 0o600 })
      renameSync(`${path}~`, path)
      this.#written.set(name, text)
    }
  }

  async held(): Promise<readonly number[]> {
    const record = await this.snapshot()
    return record.type === 'SNAPSHOT' ? record.shards.map(({ shardId }) => shardId).sort((a, b) => a - b) : []
  }

  /** Sends a command as a manager does, and answers the status code and the failure's code. */
  async command(body: object): Promise<{ readonly status: number; readonly code: unknown }> {
    const headers = {
      authorization: this.#start.files.get('authorization') ?? '',
      'content-type': 'application/json',
    }
    const url = `http://${this.#start.host}:${SHARDER_PORT}/`
    const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
    const { code } = (await answer.json()) as { code?: unknown }
    return { status: answer.status, code }
  }

  async snapshot(): Promise<StateRecord> {
    const headers = { authorization: this.#start.files.get('authorization') ?? '' }
    const answer = await fetch(`http://${this.#start.host}:${SHARDER_PORT}/shards`, { headers })
    return stateRecordSchema.parse(await answer.json())
  }

  drain(): Promise<void> {
    return this.#end('SIGTERM')
  }

  crash(): Promise<void> {
    return this.#end('SIGKILL')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    this.#child.kill(signal)
    await this.#exited
    rmSync(this.#directory, { recursive: true, force: true })
  }
}
