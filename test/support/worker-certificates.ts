import { authoritiesOf, type WorkerTrust } from '../../operator/trust/due.ts'
import { dueTrust } from '../../operator/trust/due-trust.ts'
import { issuing } from '../../operator/trust/issue.ts'

export const SERVERNAME = 'bot-sharders.prod.svc'

/** An authority and a worker's certificate of it, valid now. */
export const certificates = (servername = SERVERNAME): Promise<WorkerTrust> =>
  dueTrust({ stored: undefined, known: undefined, servername, now: Date.now() }, issuing)

/** Another certificate of the same authority. */
export const renewed = ({ authority }: WorkerTrust): Promise<WorkerTrust> =>
  dueTrust(
    {
      stored: { authority, serving: undefined, anchors: [] },
      known: undefined,
      servername: SERVERNAME,
      now: Date.now(),
    },
    issuing,
  )

/** Whom a manager trusts. */
export const trusting = (...trusted: WorkerTrust[]) => ({
  servername: SERVERNAME,
  authorities: trusted.flatMap(({ authority }) => authoritiesOf(authority)),
})
