import { request } from 'undici'
import type { SampleBotStats } from '../../../src/local/sample-bot.ts'
import { Child } from './child.ts'

const FILE = new URL('../children/bot.ts', import.meta.url)

/** A bot end that checks what it is given, in a process of its own. */
export class BotProcess {
  readonly url: string
  readonly #child: Child

  private constructor(child: Child) {
    this.#child = child
    this.url = (child.said as { url: string }).url
  }

  static async start(): Promise<BotProcess> {
    return new BotProcess(await Child.start(FILE))
  }

  async stats(): Promise<SampleBotStats> {
    const { body } = await request(`${this.url}/stats`)
    return (await body.json()) as SampleBotStats
  }

  /** From now on silences are measured anew. */
  async restartSilences(): Promise<void> {
    const { body } = await request(`${this.url}/silences/restart`, { method: 'POST' })
    await body.dump()
  }

  stop(): Promise<void> {
    return this.#child.stop()
  }
}
