import { WebSocket } from 'ws'
import { isFatalClose } from '../../../src/domain/fatal-close.ts'
import type { GatewayOptions, Identified } from '../../../src/protocol/commands.ts'
import { type Failure, failure } from '../../../src/protocol/failures.ts'
import type { Session } from '../../../src/protocol/session.ts'
import type { ShardRecord, ShardStateName } from '../../../src/protocol/state.ts'

/** Closes without ending the session: 1000 and 1001 would. */
const RESUMABLE_CLOSE = 4900

export interface GatewayShardOptions {
  readonly shardId: number
  readonly totalShards: number
  readonly workerId: number
  /** Read for each IDENTIFY and RESUME. */
  readonly token: () => string
  readonly onChange: (shardId: number) => void
}

type Wanted = { readonly identify: (failed: Failure | undefined) => void } | { readonly resume: true }

/** One shard, as plain as the protocol allows: it never identifies by itself, and resumes after every broken connection. */
export class GatewayShard {
  gateway: GatewayOptions
  readonly #options: GatewayShardOptions
  #state: ShardStateName = 'Unidentified'
  #session: Omit<Session, 'lastContactMsAgo'> | undefined
  #sequence = 0
  #identifies = 0
  #resumes = 0
  #identifiedAt: number | undefined
  #wasReady = false
  #closeCode: number | undefined
  #socket: WebSocket | undefined
  #heartbeat: NodeJS.Timeout | undefined
  #retry: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: GatewayShardOptions, gateway: GatewayOptions, session: Session | undefined) {
    this.#options = options
    this.gateway = gateway
    this.#session = session
    this.#sequence = session?.sequence ?? 0
    if (session) this.#resume()
  }

  get record(): ShardRecord {
    return {
      shardId: this.#options.shardId,
      state: this.#state,
      identifies: this.#identifies,
      resumes: this.#resumes,
      recovering: this.#wasReady,
      ...(this.#identifiedAt !== undefined && { identifiedMsAgo: performance.now() - this.#identifiedAt }),
      ...(this.#closeCode !== undefined && { closeCode: this.#closeCode }),
      ...(this.session && { session: this.session }),
    }
  }

  get session(): Session | undefined {
    return this.#session && { ...this.#session, sequence: this.#sequence, lastContactMsAgo: 0 }
  }

  /** Assigned anew: a fatal close may have been mended. */
  retry(): void {
    if (this.#state === 'Offline') this.#become('Unidentified')
  }

  /** Resolves after READY, or with why there is none. */
  async identify(slotInMs: number): Promise<Identified | Failure> {
    const { shardId, workerId } = this.#options
    if (this.#state !== 'Unidentified') return failure('INTERNAL', `shard ${shardId} is ${this.#state}`)
    this.#become('Connecting')
    await new Promise((resolve) => setTimeout(resolve, slotInMs))
    const failed = await new Promise<Failure | undefined>((identify) => this.#connect(this.gateway.url, { identify }))
    const identifiedMsAgo = this.#identifiedAt === undefined ? 0 : performance.now() - this.#identifiedAt
    if (!failed) return { identified: true, shardId, workerId, identifiedMsAgo }
    return this.#identifiedAt === undefined ? failed : { ...failed, identifiedMsAgo }
  }

  /** Closes so that another can resume. */
  close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#retry)
    clearInterval(this.#heartbeat)
    const socket = this.#socket
    if (!socket || socket.readyState === WebSocket.CLOSED) return Promise.resolve()
    return new Promise((resolve) => {
      socket.once('close', () => resolve())
      socket.close(RESUMABLE_CLOSE)
    })
  }

  #resume(): void {
    this.#become('Resuming')
    this.#connect(this.#session?.resumeGatewayUrl ?? this.gateway.url, { resume: true })
  }

  #connect(url: string, wanted: Wanted): void {
    this.#identifiedAt = 'identify' in wanted ? undefined : this.#identifiedAt
    const socket = new WebSocket(`${url}/?v=${this.gateway.version}&encoding=json`, { perMessageDeflate: false })
    this.#socket = socket
    socket.on('error', () => {})
    socket.on('message', (data: Buffer) => this.#take(socket, JSON.parse(data.toString()), wanted))
    socket.once('close', (code) => this.#lost(code, wanted))
  }

  #take(socket: WebSocket, payload: { op: number; s: number | null; t: string | null; d: unknown }, wanted: Wanted) {
    const send = (op: number, d: unknown) => socket.send(JSON.stringify({ op, d }))
    if (payload.op === 10) {
      const { heartbeat_interval: interval } = payload.d as { heartbeat_interval: number }
      this.#heartbeat = setInterval(() => send(1, this.#sequence || null), interval)
      this.#introduce(send, wanted)
    } else if (payload.op === 9) {
      this.#session = undefined
      if ('identify' in wanted) wanted.identify(failure('INVALID_SESSION', 'op 9'))
      socket.close(RESUMABLE_CLOSE)
    } else if (payload.op === 7) socket.close(RESUMABLE_CLOSE)
    else if (payload.op === 0) this.#dispatched(payload, wanted)
  }

  #introduce(send: (op: number, d: unknown) => void, wanted: Wanted): void {
    const token = this.#options.token()
    const session = this.#session
    if ('resume' in wanted && session) {
      this.#resumes++
      send(6, { token, session_id: session.sessionId, seq: this.#sequence })
      return
    }
    const { shardId, totalShards } = this.#options
    const properties = { os: 'linux', browser: 'shardcluster', device: 'shardcluster' }
    send(2, { token, properties, intents: this.gateway.intents, shard: [shardId, totalShards] })
    this.#identifies++
    this.#identifiedAt = performance.now()
    this.#become('Identifying')
  }

  #dispatched({ s, t, d }: { s: number | null; t: string | null; d: unknown }, wanted: Wanted): void {
    this.#sequence = s ?? this.#sequence
    if (t === 'READY') {
      const ready = d as { session_id: string; resume_gateway_url: string }
      const { shardId, totalShards } = this.#options
      const { session_id: sessionId, resume_gateway_url: resumeGatewayUrl } = ready
      this.#session = { shardId, sessionId, resumeGatewayUrl, sequence: this.#sequence, totalShards }
    }
    if (t !== 'READY' && t !== 'RESUMED') return
    this.#wasReady = true
    this.#become('Connected')
    if ('identify' in wanted) wanted.identify(undefined)
  }

  #lost(code: number, wanted: Wanted): void {
    clearInterval(this.#heartbeat)
    if (this.#closed) return
    this.#closeCode = code
    if (isFatalClose(code)) {
      this.#session = undefined
      this.#become('Offline')
      if ('identify' in wanted) wanted.identify(failure('FATAL_CLOSE', `closed with ${code}`, { closeCode: code }))
      return
    }
    if ('identify' in wanted) wanted.identify(failure('CLOSED', `closed with ${code}`, { closeCode: code }))
    this.#become(this.#session ? 'Resuming' : 'Unidentified')
    if (this.#session) this.#retry = setTimeout(() => this.#resume(), 100)
  }

  #become(state: ShardStateName): void {
    this.#state = state
    this.#options.onChange(this.#options.shardId)
  }
}
