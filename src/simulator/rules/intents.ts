import { INTENT_BITS } from '../../api/intents.ts'

const KNOWN_INTENTS = Object.values(INTENT_BITS).reduce((mask: number, bit) => mask | (1 << bit), 0)

/** The bit of one intent, for masks. */
export function intentMask(name: keyof typeof INTENT_BITS): number {
  return 1 << INTENT_BITS[name]
}

/** Whether every bit of `intents` is one Discord knows; otherwise it closes with 4013. */
export function intentsAreKnown(intents: number): boolean {
  return Number.isInteger(intents) && intents >= 0 && intents <= KNOWN_INTENTS && (intents & ~KNOWN_INTENTS) === 0
}
