import { isFatalClose } from '../../src/domain/fatal-close.ts'
import type { AttemptEnded } from './attempt.ts'
import { type IdentifyOutcome, notIdentified } from './permit.ts'

type NotIdentified = Extract<IdentifyOutcome, { identified: false }>

/** What a permit is answered when its connection ended before READY, at `now` on the injected clock. */
export function identifyFailure(ended: AttemptEnded, now: number): NotIdentified {
  const { code: closeCode, reason, identifySentAt, invalidResumable, byUs } = ended
  const spent = identifySentAt === undefined ? {} : { identifiedMsAgo: now - identifySentAt }
  if (ended.failure && !ended.failure.identified) return ended.failure
  const make = (...args: Parameters<typeof notIdentified>) => notIdentified(...args) as NotIdentified
  if (invalidResumable !== undefined)
    return make(
      'INVALID_SESSION',
      'Discord answered IDENTIFY with op 9, usually because its bucket was not free.',
      spent,
    )
  if (!byUs && isFatalClose(closeCode))
    return make('FATAL_CLOSE', `Discord closed with ${closeCode}: ${reason || 'no reason given'}`, {
      ...spent,
      closeCode,
    })
  if (identifySentAt === undefined)
    return make('CONNECT_FAILED', `The gateway could not be reached (${reason || closeCode}), no IDENTIFY was spent.`)
  return make('CLOSED', `The connection closed with ${closeCode} (${reason || 'no reason given'}) after IDENTIFY.`, {
    ...spent,
    closeCode,
  })
}

/** What a permit for a parked shard is answered. */
export function parkedFailure(
  lastClose: { readonly code: number; readonly reason: string } | undefined,
): IdentifyOutcome {
  const { code, reason } = lastClose ?? { code: undefined, reason: 'fatal' }
  const why = `Discord closed the shard for good (${code} ${reason}); it stays so until it is assigned anew.`
  return notIdentified('FATAL_CLOSE', why, code === undefined ? {} : { closeCode: code })
}

/** The end of a connection that was never opened. */
export const notOpened = (reason: string): AttemptEnded => ({
  code: 1006,
  reason,
  byUs: true,
  identifySentAt: undefined,
  liveAt: undefined,
  reconnectAsked: false,
  invalidResumable: undefined,
  failure: undefined,
})
