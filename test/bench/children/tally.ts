import type { IncomingMessage, ServerResponse } from 'node:http'

/** As Discord writes it, and as discordeno does. */
const MARKS = ['"sim_at":', '"simAt":'].map((text) => Buffer.from(text))
/** Digits of a time in milliseconds, until the year 2286. */
const DIGITS = 13
const ZERO = 48
/** Ends an event in a batch. */
export const LINE_FEED = 10
/** Longest latency that is told from longer ones, in milliseconds. */
const LONGEST_MS = 60_000

/** What has arrived at a sink, and how long after the simulator sent it. */
export class Tally {
  events = 0
  requests = 0
  bytes = 0
  /** Whether times are looked at: it costs something. */
  timing = false
  readonly #milliseconds = new Uint32Array(LONGEST_MS + 1)

  /** Notes the latencies of events that are confirmed now, and were sent at these times. */
  time(sentAt: readonly number[]): void {
    const now = Date.now()
    for (const sent of sentAt) {
      const took = Math.min(LONGEST_MS, Math.max(0, now - sent))
      this.#milliseconds[took] = (this.#milliseconds[took] ?? 0) + 1
    }
  }

  /** GET: the counts. POST /timing: latencies from now on. DELETE /timing: what they were. */
  answer({ method }: IncomingMessage, response: ServerResponse): void {
    const { events, requests, bytes } = this
    if (method === 'GET') response.end(JSON.stringify({ events, requests, bytes }))
    else if (method === 'POST') {
      this.#milliseconds.fill(0)
      this.timing = true
      response.end()
    } else {
      this.timing = false
      response.end(JSON.stringify({ p50: this.#percentile(0.5), p99: this.#percentile(0.99), timed: this.#timed() }))
    }
  }

  #timed(): number {
    return this.#milliseconds.reduce((sum, count) => sum + count, 0)
  }

  /** In milliseconds; times are whole ones on both ends. NaN: there were none. */
  #percentile(share: number): number {
    let left = this.#timed() * share
    if (left === 0) return Number.NaN
    for (const [ms, count] of this.#milliseconds.entries()) {
      left -= count
      if (left <= 0) return ms
    }
    return LONGEST_MS
  }
}

/**
 * When each event in `bytes` was sent, one event a line, in epoch milliseconds, after those in `times`. What is cut off
 * at either end is left out: to keep 200 MB a second until a line is whole makes pauses that would be taken for the
 * forwarder's.
 */
export function sendTimes(bytes: Buffer, times: number[] = []): number[] {
  const mark = MARKS.find((each) => bytes.includes(each))
  if (mark === undefined) return times
  // It is near the front of each event: from there on the search goes on in the next line.
  for (let at = bytes.indexOf(mark); at !== -1; at = bytes.indexOf(mark, at)) {
    at += mark.length
    if (at + DIGITS > bytes.length) break
    times.push(numberAt(bytes, at))
    at = bytes.indexOf(LINE_FEED, at)
    if (at === -1) break
  }
  return times
}

function numberAt(bytes: Buffer, at: number): number {
  let value = 0
  for (let i = at; i < at + DIGITS; i++) value = value * 10 + (bytes[i] as number) - ZERO
  return value
}
