import { randomBytes } from 'node:crypto'
import type { Clock } from '../support/clock.ts'
import { applicationIdOf, type BotOptions, botRulesOptions, type SimulatorSettings } from './options.ts'
import { BotRules, MembersLimit } from './rules/index.ts'

/** One bot of this Discord. `C` is what stands for a connection. */
export interface Bot<C extends object> {
  readonly applicationId: string
  readonly options: BotOptions
  readonly rules: BotRules<C>
  readonly members: MembersLimit
}

/** The bots by token. */
export class Bots<C extends object> {
  readonly #settings: SimulatorSettings
  readonly #clock: Clock
  readonly #byToken = new Map<string, Bot<C>>()

  constructor(settings: SimulatorSettings, clock: Clock) {
    this.#settings = settings
    this.#clock = clock
    for (const options of settings.bots) this.#add(options)
  }

  all(): Iterable<Bot<C>> {
    return this.#byToken.values()
  }

  /**
   * The bot of `given`, unless the token is wrong or was reset. `Bot ` in front of it is fine, in an IDENTIFY too:
   * Discord takes both, and discordeno sends it.
   */
  find(given: string): Bot<C> | undefined {
    const token = given.replace(/^Bot /, '')
    const bot = this.#byToken.get(token) ?? this.#register(token)
    return bot?.rules.tokenReset ? undefined : bot
  }

  #register(token: string): Bot<C> | undefined {
    const template = this.#settings.bots[0]
    if (!this.#settings.acceptAnyToken || template === undefined || applicationIdOf(token) === undefined)
      return undefined
    return this.#add({ ...template, token })
  }

  #add(options: BotOptions): Bot<C> {
    const rules = new BotRules<C>(botRulesOptions(this.#settings, options), this.#clock, newSessionId)
    const members = new MembersLimit(this.#settings.times.membersWindowMs)
    const bot = { applicationId: applicationIdOf(options.token) ?? '0', options, rules, members }
    this.#byToken.set(options.token, bot)
    return bot
  }
}

const newSessionId = (): string => randomBytes(16).toString('hex')
