import { createPrivateKey, X509Certificate } from 'node:crypto'
import { WORKER_TLS } from '../../src/limits.ts'

/**
 * The certificates that workers serve TLS with, and the authority that the operator makes for each ShardCluster.
 *
 * 1. An authority lives a year, a serving certificate 90 days. Each is renewed when a third of its life is left.
 * 2. An authority that is replaced stays trusted until it expires.
 * 3. A serving certificate that is not of the present authority is replaced at once.
 *
 * So it holds at every moment: what a worker has from the operator is trusted for as long as it is valid, however late a
 * kubelet brings it, because a retired authority outlives all that it signed (a third of a year is more than 90 days). Who
 * trusts is the operator alone, and it trusts an authority before any worker can have a certificate of it.
 */

/** A certificate and its private key, both as PEM. */
export interface Identity {
  readonly certificate: string
  readonly privateKey: string
}

/** What signs the certificates of workers. */
export interface Authority extends Identity {
  /** Those before it, which workers may still have certificates of: PEM, newest first. */
  readonly retired: readonly string[]
}

/** What the workers of a ShardCluster are known by. */
export interface WorkerTrust {
  readonly authority: Authority
  readonly serving: Identity
}

/** Makes them; times in milliseconds since 1970. */
export interface Issuing {
  authority(validity: Validity): Promise<Identity>
  serving(asked: Validity & { readonly servername: string; readonly authority: Identity }): Promise<Identity>
}

/** What a serving certificate is for. */
export interface ServingAsked {
  readonly authority: Authority
  readonly servername: string
  /** Milliseconds since 1970. */
  readonly now: number
}

interface Validity {
  readonly from: number
  readonly until: number
}

const DAY_MS = 86_400_000
const AUTHORITY_MS = 365 * DAY_MS
const SERVING_MS = 90 * DAY_MS

/** OpenSSL's name of P-256. */
const CURVE = 'prime256v1'

/** The clocks of two replicas may differ: a certificate begins this long before it is made. Milliseconds. */
const BEGINS_EARLIER_MS = 3_600_000

/** The authority that there shall be at `now`: the one there is, or another that trusts on in the one before. */
export async function dueAuthority(known: Authority | undefined, now: number, issue: Issuing): Promise<Authority> {
  const retired = alive(known?.retired ?? [], now)
  if (known && !isDue(known, now)) return retired.length === known.retired.length ? known : { ...known, retired }
  const made = await issue.authority(lifetime(now, AUTHORITY_MS))
  return { ...made, retired: retiredOf(made, alive(known ? [known.certificate, ...retired] : [], now)) }
}

/** The serving certificate that there shall be at `now`: the one there is, if it is of this authority and for that name. */
export async function dueCertificate(
  known: Identity | undefined,
  asked: ServingAsked,
  issue: Issuing,
): Promise<Identity> {
  if (known && isUsable(known, asked)) return known
  const { authority, servername, now } = asked
  const { from, until } = lifetime(now, SERVING_MS)
  // One of which the issuer has expired is not trusted.
  return issue.serving({ from, until: Math.min(until, untilOf(authority.certificate)), servername, authority })
}

/** When the next of both is to be renewed: milliseconds since 1970. */
export const renewalOf = ({ authority, serving }: WorkerTrust): number =>
  Math.min(renewAt(validityOf(authority.certificate)), renewAt(validityOf(serving.certificate)))

/** Everything that a worker's certificate may be signed by. */
export const authoritiesOf = ({ certificate, retired }: Authority): readonly string[] => [certificate, ...retired]

/** Also trusts what was trusted so far, so that workers are known on when an authority came from elsewhere. */
export const trustingToo = (authority: Authority, others: readonly string[], now: number): Authority => {
  const retired = retiredOf(authority, [...authority.retired, ...alive(others, now)])
  return retired.length === authority.retired.length ? authority : { ...authority, retired }
}

/** Whether both belong together and are of the kind and life that the operator makes. */
export function isSound({ certificate, privateKey }: Identity, kind: 'authority' | 'serving'): boolean {
  try {
    const x509 = new X509Certificate(certificate)
    const key = createPrivateKey(privateKey)
    const { from, until } = validityOf(certificate)
    const longest = kind === 'authority' ? AUTHORITY_MS : SERVING_MS
    return (
      x509.ca === (kind === 'authority') &&
      key.asymmetricKeyDetails?.namedCurve === CURVE &&
      x509.checkPrivateKey(key) &&
      // Not of a kind that would never be renewed.
      until > from &&
      until - from <= longest + BEGINS_EARLIER_MS
    )
  } catch {
    return false
  }
}

/** Whether it is a certificate that can sign others, with a key of the kind that the operator makes. */
export function isAuthority(certificate: string): boolean {
  try {
    const { ca, publicKey } = new X509Certificate(certificate)
    return ca && publicKey.asymmetricKeyDetails?.namedCurve === CURVE
  } catch {
    return false
  }
}

/** Whether it need not be replaced. */
export const isUsable = (known: Identity, { authority, servername, now }: ServingAsked): boolean =>
  !isDue(known, now) && isOf(known, authority, servername)

function isOf({ certificate }: Identity, authority: Identity, servername: string): boolean {
  const x509 = new X509Certificate(certificate)
  const issuer = new X509Certificate(authority.certificate)
  return (
    x509.checkIssued(issuer) &&
    x509.verify(issuer.publicKey) &&
    x509.checkHost(servername, { wildcards: false, subject: 'never' }) === servername
  )
}

const retiredOf = ({ certificate }: Identity, others: readonly string[]): string[] =>
  [...new Set(others)].filter((other) => other !== certificate).slice(0, WORKER_TLS.authorities - 1)

const alive = (certificates: readonly string[], now: number): string[] =>
  certificates.filter((certificate) => untilOf(certificate) > now)

function isDue({ certificate }: Identity, now: number): boolean {
  const validity = validityOf(certificate)
  return now < validity.from || now >= renewAt(validity)
}

const lifetime = (now: number, milliseconds: number): Validity => {
  // X.509 knows whole seconds.
  const second = Math.floor(now / 1_000) * 1_000
  return { from: second - BEGINS_EARLIER_MS, until: second + milliseconds }
}

const renewAt = ({ from, until }: Validity): number => until - (until - from) / 3

const untilOf = (certificate: string): number => validityOf(certificate).until

function validityOf(certificate: string): Validity {
  const { validFromDate, validToDate } = new X509Certificate(certificate)
  return { from: validFromDate.getTime(), until: validToDate.getTime() }
}
