import type { FastifyReply, FastifyRequest } from 'fastify'
import { REST_PROXY } from '../limits.ts'
import { ProxyFullError, readBody } from './bodies.ts'
import type { Budget, Claim } from './budget.ts'
import type { Discord, DiscordResponse } from './discord.ts'
import { forwardedHeaders, passedHeaders } from './headers.ts'
import type { RestProxySettings } from './options.ts'
import { type Target, targetOf } from './route.ts'

/** A caller, from its request until it has its answer or is gone. */
interface Caller {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly target: Target
  readonly claim: Claim
  /** Aborts at its end. */
  readonly gone: AbortSignal
}

/** The way of a request to Discord, and of its answer back. */
export class Forwarding {
  readonly #settings: RestProxySettings
  readonly #discord: Discord
  readonly #budget: Budget
  readonly #bodyLimit: number
  #inside = 0

  constructor(settings: RestProxySettings, discord: Discord, budget: Budget) {
    this.#settings = settings
    this.#discord = discord
    this.#budget = budget
    // A body that never fits is not told to come again.
    this.#bodyLimit = Math.min(settings.bodyLimit, budget.limit - REST_PROXY.requestBytes)
  }

  /** Throws what the error handler of the server tells the caller. */
  async forward(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const target = targetOf(request.url)
    if (target === undefined) return reply.code(400).send({ error: 'The path must stay below the API: /v10/...' })
    if (this.#inside >= this.#settings.maxRequests)
      throw new ProxyFullError('Too many requests are waiting in the proxy; try again later.')
    const caller = this.#admit(request, reply, target)
    if (!caller.claim.take(REST_PROXY.requestBytes))
      throw new ProxyFullError('Too many bytes are under way in the proxy; try again later.')
    const body = request.method === 'GET' ? undefined : await readBody(request.raw, this.#bodyLimit, caller.claim)
    return this.#ask(caller, body)
  }

  #admit(request: FastifyRequest, reply: FastifyReply, target: Target): Caller {
    const gone = new AbortController()
    const claim = this.#budget.claim()
    this.#inside += 1
    reply.raw.once('close', () => {
      this.#inside -= 1
      claim.release()
      gone.abort(new Error('the caller is gone'))
    })
    return { request, reply, target, claim, gone: gone.signal }
  }

  async #ask({ request, reply, target, claim, gone }: Caller, body: Buffer | undefined): Promise<FastifyReply> {
    const { timeoutMs } = this.#settings
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(new Error('Discord is late')), timeoutMs)
    try {
      const response = await this.#discord.request({
        ...target,
        method: request.method,
        headers: forwardedHeaders(request.headers),
        body,
        signal: AbortSignal.any([late.signal, gone]),
        deadline: performance.now() + timeoutMs,
        claim,
      })
      return this.#pass(reply, response)
    } catch (error) {
      if (gone.aborted) return reply.code(499).send()
      if (!late.signal.aborted) throw error
      const what = `${request.method} ${target.route.split('?', 1)[0]}`
      return reply.code(504).send({ error: `Discord did not answer ${what} within ${timeoutMs} ms.` })
    } finally {
      clearTimeout(timer)
    }
  }

  #pass(reply: FastifyReply, { status, headers, body }: DiscordResponse): FastifyReply {
    // Whoever reads slowly keeps memory and a connection to Discord from the others: the answer has its time, too.
    const slow = setTimeout(() => reply.raw.destroy(), this.#settings.timeoutMs)
    reply.raw.once('close', () => clearTimeout(slow))
    reply.code(status)
    for (const [name, value] of passedHeaders(headers)) reply.header(name, value)
    return Buffer.isBuffer(body) && body.length === 0 ? reply.send() : reply.send(body)
  }
}
