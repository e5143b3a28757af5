import cliProgress from 'cli-progress'

/** Where progress goes: a terminal gets a bar, anything else plain lines. */
export interface Progress {
  /** `done` of `total` things, with a word on what goes on. */
  update(done: number, total: number, doing: string): void
  /** A line that stays, above the bar. */
  say(line: string): void
  stop(): void
}

/** Plain lines are written when something changed, at most this often, in milliseconds. */
const PLAIN_EVERY_MS = 1_000

export function createProgress(label: string, stream: NodeJS.WriteStream): Progress {
  return stream.isTTY ? bar(label, stream) : plain(label, stream)
}

function bar(label: string, stream: NodeJS.WriteStream): Progress {
  const format = `${label} [{bar}] {value}/{total} {doing}`
  const shown = new cliProgress.SingleBar(
    { format, stream, hideCursor: true, barsize: 30, linewrap: false, gracefulExit: false, forceRedraw: true },
    cliProgress.Presets.shades_classic,
  )
  let running = false
  return {
    update(done, total, doing) {
      if (!running) shown.start(total, done, { doing })
      running = true
      shown.setTotal(total)
      shown.update(done, { doing })
    },
    say(line) {
      if (running) shown.stop()
      running = false
      stream.write(`\r\x1b[K${line}\n`)
    },
    stop() {
      if (running) shown.stop()
      running = false
    },
  }
}

function plain(label: string, stream: NodeJS.WriteStream): Progress {
  let last = ''
  let lastAt = Number.NEGATIVE_INFINITY
  return {
    update(done, total, doing) {
      const line = `${label} ${done}/${total} ${doing}`
      if (line === last || (performance.now() - lastAt < PLAIN_EVERY_MS && done < total)) return
      last = line
      lastAt = performance.now()
      stream.write(`${line}\n`)
    },
    say: (line) => void stream.write(`${line}\n`),
    stop() {},
  }
}
