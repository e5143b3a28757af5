import {
  type Authority,
  authoritiesOf,
  dueAuthority,
  dueCertificate,
  type Identity,
  type Issuing,
  isUsable,
  trustingToo,
  type WorkerTrust,
} from './due.ts'

/** What the Secrets of a ShardCluster say. */
export interface StoredTrust {
  /** undefined: there is none, or none that is whole. */
  readonly authority: Authority | undefined
  readonly serving: Identity | undefined
  /** Those that the certificate of the workers may be of, where the authority's own Secret says nothing. */
  readonly anchors: readonly string[]
}

/** What is there to go by. */
export interface TrustAsked {
  /** What the Secrets say, where they were read. */
  readonly stored: StoredTrust | undefined
  /** What there was so far. */
  readonly known: WorkerTrust | undefined
  readonly servername: string
  /** Milliseconds since 1970. */
  readonly now: number
}

/**
 * The certificates that there shall be. The Secrets come first; where they are missing or broken, what is known is put
 * back, and where nothing is known either, all is made anew. What running workers may have stays trusted in each case.
 */
export async function dueTrust({ stored, known, servername, now }: TrustAsked, issue: Issuing): Promise<WorkerTrust> {
  const found = stored?.authority ?? known?.authority
  const before = known ? authoritiesOf(known.authority) : []
  const others = found ? before : (stored?.anchors ?? [])
  const authority = trustingToo(await dueAuthority(found, now, issue), others, now)
  const asked = { authority, servername, now }
  const usable = [stored?.serving, known?.serving].find((serving) => serving && isUsable(serving, asked))
  const serving = await dueCertificate(usable, asked, issue)
  return { authority, serving }
}

/** Whether the Secrets say just that. */
export const isStored = ({ authority, serving }: StoredTrust, trust: WorkerTrust): boolean =>
  JSON.stringify({ authority, serving }) === JSON.stringify({ authority: trust.authority, serving: trust.serving })
