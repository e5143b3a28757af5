import { type ApiCall, nameOf, type Transport } from './call.ts'
import { ApiError } from './errors.ts'

/**
 * The same transport for work that may be done only while `allowed` says so, which is asked right before each try is
 * sent. An aborted signal would come too late for a process that was suspended: when it goes on, the timers that were
 * due before the one that aborts fire first, and what they start would write with the knowledge of long ago.
 */
export function onlyWhile(allowed: () => boolean, transport: Transport): Transport {
  const guardedCall = (call: ApiCall): ApiCall => ({
    ...call,
    guard: () => {
      call.guard?.()
      if (allowed()) return
      const message = 'not sent: this process does not lead any more'
      throw new ApiError({ call: nameOf(call), reason: 'NotLeading', message })
    },
  })
  return {
    request: (call) => transport.request(guardedCall(call)),
    stream: (call) => transport.stream(guardedCall(call)),
  }
}
