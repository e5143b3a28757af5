import { X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { authoritySecret, readTrust, tlsSecret } from '../../../operator/manifests/trust-secrets.ts'
import {
  authoritiesOf,
  dueAuthority,
  dueCertificate,
  renewalOf,
  type WorkerTrust,
} from '../../../operator/trust/due.ts'
import { dueTrust, isStored } from '../../../operator/trust/due-trust.ts'
import { issuing } from '../../../operator/trust/issue.ts'
import { WORKER_TLS } from '../../../src/limits.ts'
import { cluster, TRUST } from './world.ts'

const servername = 'bot-sharders.prod.svc'
const DAY = 86_400_000
const T0 = Date.UTC(2026, 0, 1)
const due = (known: WorkerTrust | undefined, now: number) =>
  dueTrust({ stored: undefined, known, servername, now }, issuing)

/** What TLS asks of a worker's certificate at that moment; undefined: all of it is as it should be. */
function refusal(certificate: string, authorities: readonly string[], now: number): string | undefined {
  const x509 = new X509Certificate(certificate)
  const valid = ({ validFromDate, validToDate }: X509Certificate) =>
    validFromDate.getTime() <= now && now < validToDate.getTime()
  if (!valid(x509)) return `not valid at ${new Date(now).toISOString()}`
  if (x509.checkHost(servername) === undefined) return 'of another name'
  const signed = authorities
    .map((authority) => new X509Certificate(authority))
    .some((issuer) => valid(issuer) && issuer.ca && x509.checkIssued(issuer) && x509.verify(issuer.publicKey))
  return signed ? undefined : 'of no authority that is trusted'
}

describe('what workers are known by', () => {
  it('is made where there is nothing, and not again', async () => {
    const first = await due(undefined, T0)
    expect(refusal(first.serving.certificate, [first.authority.certificate], T0)).toBeUndefined()
    expect(await due(first, T0 + 59 * DAY)).toEqual(first)
    expect((await due(undefined, T0)).authority.privateKey).not.toBe(first.authority.privateKey)
  })

  it('is renewed when a third of its life is left', async () => {
    const first = await due(undefined, T0)
    expect(Math.abs(renewalOf(first) - (T0 + 60 * DAY))).toBeLessThan(DAY)
    const second = await due(first, renewalOf(first))
    expect(second.authority).toEqual(first.authority)
    expect(second.serving).not.toEqual(first.serving)
    const late = await due(second, T0 + 244 * DAY)
    expect(late.authority.retired).toEqual([first.authority.certificate])
    expect(late.authority.certificate).not.toBe(first.authority.certificate)
    // What has expired is trusted no longer.
    expect((await due(late, T0 + 366 * DAY)).authority.retired).toEqual([])
  })

  it('is made anew by a clock that was set back, and what workers have is trusted on', async () => {
    const first = await due(undefined, T0)
    const second = await due(first, T0 - 30 * DAY)
    expect(refusal(second.serving.certificate, authoritiesOf(second.authority), T0 - 30 * DAY)).toBeUndefined()
    expect(second.authority.retired).toEqual([first.authority.certificate])
  })

  it('is valid and trusted at every moment, with whatever volumes lag, and operators that follow each other', async () => {
    /** Days until the operator looks at it again, at most until what it planned; and whether it is another one then. */
    const steps = fc.array(fc.record({ share: fc.double({ min: 0.01, max: 1, noNaN: true }), another: fc.boolean() }), {
      minLength: 5,
      maxLength: 25,
    })
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(120_000), async (looks, lagMs) => {
        let now = T0
        let trust = await due(undefined, now)
        let before = trust
        for (const { share, another } of looks) {
          now += Math.ceil((renewalOf(trust) - now) * share)
          // Until that moment workers had this certificate, and the operator, old or new, trusted this.
          expect(refusal(trust.serving.certificate, authoritiesOf(trust.authority), now)).toBeUndefined()
          before = trust
          const stored = readTrust(authoritySecret(cluster(), trust), tlsSecret(cluster(), trust))
          const known = another ? undefined : trust
          trust = await dueTrust({ stored: another ? stored : undefined, known, servername, now }, issuing)
          // Volumes still have the one before, and have the new one before whoever led until now has renewed its trust.
          for (const [served, trusted] of [
            [before, trust],
            [trust, trust],
          ] as const)
            expect(refusal(served.serving.certificate, authoritiesOf(trusted.authority), now + lagMs)).toBeUndefined()
          expect(renewalOf(trust)).toBeGreaterThan(now)
          expect(trust.authority.retired.length).toBeLessThan(WORKER_TLS.authorities)
        }
      }),
      { numRuns: 20 },
    )
  })
})

describe('its Secrets', () => {
  const secrets = (trust: WorkerTrust) => [authoritySecret(cluster(), trust), tlsSecret(cluster(), trust)] as const
  const stored = (trust: WorkerTrust) => readTrust(...secrets(trust))

  it('give back what was written', async () => {
    expect(isStored(stored(TRUST), TRUST)).toBe(true)
    const first = await due(undefined, T0)
    const second = await due(first, T0 + 250 * DAY)
    expect(isStored(stored(second), second)).toBe(true)
    expect(isStored(stored(first), second)).toBe(false)
    expect(stored(second).anchors).toEqual(authoritiesOf(second.authority))
  })

  it('are of the kinds that Kubernetes has for it, and the key of the authority is in its own alone', () => {
    const [authority, tls] = secrets(TRUST)
    expect([authority.metadata.name, tls.metadata.name]).toEqual(['bot-sharder-ca', 'bot-sharder-tls'])
    expect(tls.type).toBe('kubernetes.io/tls')
    expect(Object.keys(tls.data)).toEqual(['tls.crt', 'tls.key', 'ca.crt'])
    for (const { metadata } of [authority, tls])
      expect(metadata.ownerReferences).toMatchObject([{ uid: 'uid-of-bot', controller: true }])
  })

  const data = (change: Record<string, string | undefined>, of: { data: Record<string, string> }) => {
    const entries = Object.entries({ ...of.data, ...change }).filter((entry) => entry[1] !== undefined)
    return { data: Object.fromEntries(entries) as Record<string, string> }
  }
  const base64 = (text: string) => Buffer.from(text).toString('base64')

  it.each([
    ['is missing', undefined],
    ['is empty', ''],
    ['is no PEM', base64('nonsense')],
    ['is larger than a certificate can be', base64(TRUST.authority.certificate + ' '.repeat(WORKER_TLS.pemBytes))],
    ['is a certificate that signs nothing', base64(TRUST.serving.certificate)],
  ])('an authority whose certificate %s is none', (_, text) => {
    const [authority, tls] = secrets(TRUST)
    expect(readTrust(data({ 'ca.crt': text }, authority), tls).authority).toBeUndefined()
  })

  it("a key that is another certificate's, or of another kind, is none", async () => {
    const [authority, tls] = secrets(TRUST)
    expect(readTrust(data({ 'ca.key': base64(TRUST.serving.privateKey) }, authority), tls).authority).toBeUndefined()
    expect(readTrust(authority, data({ 'tls.key': base64(TRUST.authority.privateKey) }, tls)).serving).toBeUndefined()
  })

  it('a certificate that would never be renewed is none', async () => {
    const forever = await issuing.authority({ from: T0, until: T0 + 20 * 365 * DAY })
    const [authority, tls] = secrets({ ...TRUST, authority: { ...forever, retired: [] } })
    expect(readTrust(authority, tls).authority).toBeUndefined()
  })

  it('that were lost are put back as they were, by whoever knows them', async () => {
    const now = Date.now()
    const nothing = readTrust(undefined, undefined)
    expect(await dueTrust({ stored: nothing, known: TRUST, servername, now }, issuing)).toEqual(TRUST)
  })

  it('that were lost to an operator that knows nothing are made anew, and what workers have is trusted on', async () => {
    const now = Date.now()
    const [, tls] = secrets(TRUST)
    const made = await dueTrust({ stored: readTrust(undefined, tls), known: undefined, servername, now }, issuing)
    expect(made.authority.certificate).not.toBe(TRUST.authority.certificate)
    for (const { serving } of [made, TRUST])
      expect(refusal(serving.certificate, authoritiesOf(made.authority), now)).toBeUndefined()
  })

  it('that somebody else wrote count, and what was trusted before is trusted on', async () => {
    const now = Date.now()
    const theirs = await due(undefined, now)
    const found = await dueTrust({ stored: stored(theirs), known: TRUST, servername, now }, issuing)
    expect(found.serving).toEqual(theirs.serving)
    expect(authoritiesOf(found.authority)).toEqual([theirs, TRUST].map(({ authority }) => authority.certificate))
  })

  it('with a serving certificate of another authority or another name get their own back', async () => {
    const now = Date.now()
    const [authority] = secrets(TRUST)
    const other = await dueAuthority(undefined, now, issuing)
    const wrong = [
      await dueCertificate(undefined, { authority: other, servername, now }, issuing),
      await dueCertificate(undefined, { authority: TRUST.authority, servername: 'other.prod.svc', now }, issuing),
      await dueCertificate(undefined, { authority: TRUST.authority, servername: '*.prod.svc', now }, issuing),
    ]
    for (const serving of wrong) {
      const read = readTrust(authority, tlsSecret(cluster(), { ...TRUST, serving }))
      expect(read.serving).toEqual(serving)
      const found = await dueTrust({ stored: read, known: TRUST, servername, now }, issuing)
      expect(found).toEqual(TRUST)
      expect(isStored(read, found)).toBe(false)
    }
  })
})
