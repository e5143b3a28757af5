import { createPrivateKey, webcrypto } from 'node:crypto'
import type { Identity, Issuing } from './due.ts'

/** ECDSA on P-256: every TLS library has it, and a handshake costs a worker a fraction of what RSA would. */
const KEY = { name: 'ECDSA', namedCurve: 'P-256' }
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' }

/**
 * Makes certificates with WebCrypto. The library comes with the first certificate that is made (20 MB, measured): a
 * leader that finds all in order loads nothing.
 */
export const issuing: Issuing = {
  async authority({ from, until }) {
    const { X509CertificateGenerator, BasicConstraintsExtension, KeyUsagesExtension, KeyUsageFlags, ...x509 } =
      await import('@peculiar/x509')
    const keys = await newKeys()
    const certificate = await X509CertificateGenerator.createSelfSigned({
      serialNumber: serialNumber(),
      // Another name each time: OpenSSL looks for an issuer by its name.
      name: [{ O: ['ShardCluster'] }, { CN: [`authority ${serialNumber()}`] }],
      ...{ notBefore: new Date(from), notAfter: new Date(until), keys, signingAlgorithm: SIGNATURE },
      extensions: [
        // It signs workers' certificates and no other authority's.
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    })
    return identityOf(certificate.toString('pem'), keys)
  },

  async serving({ from, until, servername, authority }) {
    const { X509Certificate, X509CertificateGenerator, KeyUsagesExtension, KeyUsageFlags, ...x509 } = await import(
      '@peculiar/x509'
    )
    const keys = await newKeys()
    const issuer = new X509Certificate(authority.certificate)
    const certificate = await X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: [{ O: ['ShardCluster'] }, { CN: ['worker'] }],
      issuer: issuer.subjectName,
      ...{ notBefore: new Date(from), notAfter: new Date(until), publicKey: keys.publicKey },
      signingKey: createPrivateKey(authority.privateKey).toCryptoKey(KEY, false, ['sign']),
      signingAlgorithm: SIGNATURE,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: servername }]),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ],
    })
    return identityOf(certificate.toString('pem'), keys)
  },
}

const newKeys = () => webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify'])

/** 126 random bits, positive: https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.2 */
function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(Buffer.alloc(16))
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes.toString('hex')
}

async function identityOf(certificate: string, { privateKey }: webcrypto.CryptoKeyPair): Promise<Identity> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', privateKey))
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  return { certificate: `${certificate.trim()}\n`, privateKey: key.export({ format: 'pem', type: 'pkcs8' }).toString() }
}
