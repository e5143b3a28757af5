import { createHash } from 'node:crypto'

/** How many messages there are before the first comes again: beyond the window of any compression. */
const MESSAGE_COUNT = 61
/** The numbers of all messages. */
export const MESSAGES: readonly number[] = Array.from({ length: MESSAGE_COUNT }, (_, n) => n)

const WORDS =
  `the quick brown fox jumps over a lazy dog and asks bot for one more song in queue please thanks what is happening with
  this server today did anyone see new update it broke everything again lol who wants to play ranked later maybe tomorrow
  after work my build finally works nice job everyone gg`.split(/\s+/)

/** Text of about `length` characters; the same for the same `n`. */
export function words(n: number, length: number): string {
  const chosen: string[] = []
  for (let i = 0, size = 0; size < length; i++) {
    const word = WORDS[(noise(n, i) >>> 8) % WORDS.length] ?? ''
    chosen.push(word)
    size += word.length + 1
  }
  return chosen.join(' ')
}

/** Digits as in an id of Discord; the same for the same `n`. */
export const snowflake = (n: number): string =>
  String(10n ** 17n + (BigInt(noise(n, 1)) << 24n) + BigInt(noise(n, 2) >>> 8))

export const avatarHash = (n: number): string => createHash('md5').update(String(n)).digest('hex')

export const userName = (n: number): string => `${words(n, 1)}${noise(n, 3) % 10_000}`

/** 32 bits that look random (the finalizer of MurmurHash3). */
function noise(n: number, i: number): number {
  let h = Math.imul(n + 1, 0x9e3779b1) ^ Math.imul(i + 1, 0x85ebca77)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
