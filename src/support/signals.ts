/** Aborts with the first SIGINT or SIGTERM. A second one ends the process at once, for whoever will not wait. */
export function untilSignal(): AbortSignal {
  const ended = new AbortController()
  const onSignal = (signal: NodeJS.Signals) => {
    if (ended.signal.aborted) process.exit(signal === 'SIGINT' ? 130 : 143)
    ended.abort(signal)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return ended.signal
}
