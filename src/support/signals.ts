/**
 * Aborts with the first SIGINT, SIGTERM or SIGHUP (the terminal is gone). A second SIGINT or SIGTERM ends the process at
 * once, for whoever will not wait. A second SIGHUP does not: a shell and the kernel may each send one.
 */
export function untilSignal(): AbortSignal {
  const ended = new AbortController()
  const onSignal = (signal: NodeJS.Signals) => {
    if (ended.signal.aborted && signal !== 'SIGHUP') process.exit(signal === 'SIGINT' ? 130 : 143)
    ended.abort(signal)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
  return ended.signal
}
