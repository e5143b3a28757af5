import type { Clock } from '../../src/support/clock.ts'
import { type Publisher, type PublishResult, type Refusal, Refused } from './publisher.ts'
import type { Slab } from './slab.ts'

/** One connection to a broker. It is never repaired: when it fails, another is made. */
export interface BrokerLink {
  /** As Publisher.publish. @throws Refused, or what the client library throws. */
  publish(slab: Slab): Promise<void>
  /** Whether it can still be used. */
  readonly usable: boolean
  /** Ends it at once; what is under way fails. */
  close(): Promise<void>
}

export interface BrokerPublisherOptions {
  readonly clock: Clock
  /** Makes a connection. @throws Refused, or what the client library throws. */
  readonly connect: () => Promise<BrokerLink>
  /** Called after a refusal: credentials are read anew for the next connection. */
  readonly onUnauthorized: () => void
  /** Without a single confirmation for so long, in milliseconds, a connection is given up. */
  readonly timeoutMs: number | undefined
}

const TIMEOUT_MS = 30_000

/** Hands slabs over through one connection, and makes another when it fails. */
export class BrokerPublisher implements Publisher {
  readonly indexed = true
  readonly #options: BrokerPublisherOptions
  #link: Promise<BrokerLink> | undefined
  #closed = false

  constructor(options: BrokerPublisherOptions) {
    this.#options = options
  }

  async publish(slab: Slab): Promise<PublishResult> {
    // All lanes share the connection: the first that finds none makes it.
    this.#link ??= this.#options.connect()
    const connecting = this.#link
    let link: BrokerLink | undefined
    try {
      link = await connecting
      if (this.#closed) throw new Refused({ kind: 'failed', message: 'the sink is closed' })
      await this.#guarded(link, slab)
      return { kind: 'acknowledged' }
    } catch (error) {
      const refusal = refusalOf(error)
      if (refusal.kind === 'unauthorized') this.#options.onUnauthorized()
      // Rights are given to a connection when it is made.
      if (!link?.usable || refusal.kind === 'unauthorized') await this.#drop(connecting)
      return refusal
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#link) await this.#drop(this.#link)
  }

  /** Publishes, and ends a connection on which nothing is confirmed any more: a cut network says nothing. */
  async #guarded(link: BrokerLink, slab: Slab): Promise<void> {
    const { clock, timeoutMs = TIMEOUT_MS } = this.#options
    let seen = slab.index?.confirmations ?? 0
    let late = false
    let cancel = () => {}
    const watch = () => {
      cancel = clock.after(timeoutMs, () => {
        const confirmed = slab.index?.confirmations ?? 0
        late = confirmed === seen
        seen = confirmed
        if (late) void link.close().catch(() => undefined)
        else watch()
      })
    }
    watch()
    try {
      await link.publish(slab)
    } catch (error) {
      if (late && !(error instanceof Refused))
        throw new Refused(
          { kind: 'failed', message: `it confirmed nothing for ${timeoutMs / 1_000} s` },
          { cause: error },
        )
      throw error
    } finally {
      cancel()
    }
  }

  async #drop(connecting: Promise<BrokerLink>): Promise<void> {
    if (this.#link === connecting) this.#link = undefined
    const link = await connecting.catch(() => undefined)
    await link?.close().catch(() => undefined)
  }
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof Refused) return error.refusal
  const { code, message } = error as { code?: unknown; message?: string }
  const why = typeof code === 'string' && code !== '' ? code : (message ?? 'unknown error')
  return { kind: 'failed', message: `it could not be reached (${why})` }
}
