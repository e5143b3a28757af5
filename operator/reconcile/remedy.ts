/**
 * Which correction the manager is to try. A kubelet writes a changed Secret into its volumes a minute or two later:
 * until then the workers present the old token, and the refusal of that one must not stand for the new one.
 */
export interface Remedy {
  /** What the user corrected, as a digest; undefined: nothing yet, but something is about to be. */
  readonly base: string | undefined
  /** For the manager: another text is another try. */
  readonly text: string
  /** Milliseconds on the injected clock. */
  readonly changedAt: number
  readonly triedAt: number
  readonly tries: number
}

/** The kubelet's sync period and its cache of Secrets, a minute each, and some more. Milliseconds. */
const VOLUME_LAG_MS = 180_000
const TRY_AGAIN_MS = 10_000

/** Discord refused the token. */
const AUTHENTICATION_FAILED = 4004

/** Makes the first remedy count as a change: pods that run still hold what was before. */
export const firstRemedy = (now: number): Remedy => ({
  base: undefined,
  text: '',
  changedAt: now,
  triedAt: now,
  tries: 0,
})

/** The remedy now. The first of all is no change: pods that start with it have it. */
export function nextRemedy(
  known: Remedy | undefined,
  base: string,
  closeCode: number | undefined,
  now: number,
): Remedy {
  if (known?.base !== base)
    return { base, text: base, changedAt: known ? now : Number.NEGATIVE_INFINITY, triedAt: now, tries: 0 }
  const mayBeOld = closeCode === AUTHENTICATION_FAILED && now - known.changedAt < VOLUME_LAG_MS
  if (!mayBeOld || now - known.triedAt < TRY_AGAIN_MS) return known
  const tries = known.tries + 1
  return { ...known, tries, triedAt: now, text: `${base}/${tries}` }
}
