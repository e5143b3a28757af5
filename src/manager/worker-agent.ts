import { Agent, buildConnector, Dispatcher } from 'undici'
import { WORKER_TLS } from '../limits.ts'

/** Whom a manager takes for its workers. */
export interface WorkerAuthorities {
  /** The name that is in the certificate of each, whatever its address. */
  readonly servername: string
  /** What a worker's certificate may be signed by, as PEM. */
  readonly authorities: readonly string[]
  /** A worker's certificate was not accepted. */
  readonly onUntrusted?: () => void
}

/** A connection to a worker is not what its pod says. Its message is for people, without a word of the other side's. */
export class UntrustedWorkerError extends Error {
  override readonly name = 'UntrustedWorkerError'
}

/**
 * Speaks TLS to the workers of one ShardCluster and to nobody else: nothing is sent before a worker has proved that it
 * has a certificate of the right authority. Other authorities count for connections that are made from then on; what is
 * open goes on, and its agent ends with the last request. As in workerAgent, no time-out of undici's own applies.
 */
export class SecureWorkerAgent extends Dispatcher {
  #authorities = ''
  #present: Agent | undefined
  readonly #agents = new Set<Agent>()

  /** Takes another answer to whom to trust; the same again changes nothing. */
  trust(asked: WorkerAuthorities): void {
    const authorities = `${asked.servername}\n${asked.authorities.join('')}`
    if (authorities === this.#authorities) return
    this.#authorities = authorities
    const before = this.#present
    this.#present = new Agent({ headersTimeout: 0, bodyTimeout: 0, allowH2: false, connect: connector(asked) })
    this.#agents.add(this.#present)
    if (!before) return
    // Refused where it has been destroyed meanwhile, which is as good.
    const gone = () => this.#agents.delete(before)
    before.close().then(gone, gone)
  }

  /** @throws Error when nobody is trusted yet. */
  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (!this.#present) throw new UntrustedWorkerError('no authority for the certificates of the workers is known')
    return this.#present.dispatch(options, handler)
  }

  /** Cuts every connection. */
  override async destroy(): Promise<void> {
    await Promise.all([...this.#agents].map((agent) => agent.destroy()))
  }
}

function connector({ servername, authorities, onUntrusted }: WorkerAuthorities): buildConnector.connector {
  const connect = buildConnector({
    ca: [...authorities],
    servername,
    minVersion: 'TLSv1.3',
    allowH2: false,
    timeout: WORKER_TLS.connectMs,
    // A session that is taken up again is not verified again.
    maxCachedSessions: 0,
  })
  return (options, callback) =>
    // Of another protocol nothing is known here that could be verified.
    options.protocol === 'https:'
      ? connect(options, (...[error, socket]) => {
          if (!error) return callback(null, socket as Exclude<typeof socket, null>)
          const untrusted = untrustedOf(error)
          if (untrusted?.certificate) onUntrusted?.()
          callback(untrusted?.error ?? error, null)
        })
      : callback(new UntrustedWorkerError('the worker is to be spoken to over TLS'), null)
}

/** undefined: the network's trouble, not the certificate's. */
function untrustedOf(error: Error & { readonly code?: unknown }) {
  const code = String(error.code)
  const because = (certificate: boolean, message: string) => ({
    certificate,
    error: new UntrustedWorkerError(message),
  })
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_'))
    return because(false, 'the worker does not speak TLS as its pod says that it does')
  if (code === 'CERT_HAS_EXPIRED') return because(true, "the worker's certificate has expired")
  if (code === 'CERT_NOT_YET_VALID') return because(true, "the worker's certificate is not valid yet")
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return because(true, "the worker's certificate is of another ShardCluster")
  return VERIFICATION.test(code)
    ? because(true, "the worker's certificate is not of this ShardCluster's authority")
    : undefined
}

/** What OpenSSL says of a certificate: https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const VERIFICATION =
  /^(UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|CERT_|CRL_|ERROR_IN_|INVALID_(CA|PURPOSE)$|PATH_LENGTH_|HOSTNAME_MISMATCH$)/
