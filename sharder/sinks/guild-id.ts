/**
 * Finds the guild of an event in its bytes, without parsing them: keys of the payload and of `d` are compared, whatever
 * lies deeper is skipped. Discord writes each key once; where one came twice, the first would count.
 */

const TAB = 9
const QUOTE = 34
const COMMA = 44
const COLON = 58
const BRACKET = 91
const BACKSLASH = 92
const BRACKET_END = 93
const BRACE = 123
const BRACE_END = 125

const D = Buffer.from('d')
const ID = Buffer.from('id')
const GUILD_ID = Buffer.from('guild_id')

/**
 * The time in the id of the event's guild, which is `id >> 22`, in the payload `bytes` [from, to); -1: it has none.
 * `own`: the event is a guild, its id is `d.id`.
 */
export function guildTime(bytes: Buffer, from: number, to: number, own: boolean): number {
  const data = find(bytes, skipSpace(bytes, from, to), to, D)
  if (data < 0) return -1
  const id = find(bytes, data, to, own ? ID : GUILD_ID)
  return id < 0 ? -1 : timeOf(bytes, id, to)
}

/** Where the value of `key` begins in the object at `at`; -1: it has no such key, or is no object. */
function find(b: Buffer, at: number, to: number, key: Buffer): number {
  if (at >= to || b[at] !== BRACE) return -1
  let i = skipSpace(b, at + 1, to)
  while (i < to && b[i] === QUOTE) {
    const end = skipString(b, i, to)
    const found = keyIs(b, i, end, key)
    i = skipSpace(b, end, to)
    if (b[i] !== COLON) return -1
    i = skipSpace(b, i + 1, to)
    if (found) return i
    i = skipSpace(b, skipValue(b, i, to), to)
    if (b[i] !== COMMA) return -1
    i = skipSpace(b, i + 1, to)
  }
  return -1
}

/** Whether the string [from, to), quotes included, is `key`. */
function keyIs(b: Buffer, from: number, to: number, key: Buffer): boolean {
  const length = to - from - 2
  if (length === key.length) {
    for (let i = 0; i < length; i++) if (b[from + 1 + i] !== key[i]) return false
    return true
  }
  if (length < key.length) return false
  for (let i = from; i < to; i++) {
    if (b[i] === BACKSLASH) return JSON.parse(b.toString('utf8', from, to)) === key.toString()
  }
  return false
}

function skipSpace(b: Buffer, from: number, to: number): number {
  let i = from
  while (i < to && (b[i] === 32 || (b[i] as number) === 10 || b[i] === 13 || b[i] === TAB)) i++
  return i
}

/** @returns the index after the string that begins at `from`. */
function skipString(b: Buffer, from: number, to: number): number {
  let i = from + 1
  while (i < to) {
    const c = b[i]
    if (c === QUOTE) return i + 1
    i += c === BACKSLASH ? 2 : 1
  }
  return to
}

/** @returns the index after the value that begins at `from`. */
function skipValue(b: Buffer, from: number, to: number): number {
  let depth = 0
  let i = from
  while (i < to) {
    const c = b[i]
    if (c === QUOTE) {
      i = skipString(b, i, to)
      if (depth === 0) return i
      continue
    }
    if (c === BRACE || c === BRACKET) depth++
    else if (c === BRACE_END || c === BRACKET_END) {
      // The end of what a number or a word is in.
      if (depth === 0) return i
      if (--depth === 0) return i + 1
    } else if (c === COMMA && depth === 0) return i
    i++
  }
  return to
}

/** The time in the id that is written as a string at `at`; -1: it is not an id. */
function timeOf(b: Buffer, at: number, to: number): number {
  if (b[at] !== QUOTE) return -1
  const end = skipString(b, at, to)
  let time = 0
  let low = 0
  let i = at + 1
  for (; i < end - 1; i++) {
    const c = b[i] as number
    if (c < 48 || c > 57) return c === BACKSLASH ? escapedTime(b, at, end) : -1
    // The low 22 bits by themselves: both parts stay exact, and nothing has to become a BigInt.
    low = low * 10 + c - 48
    time = time * 10 + (low >>> 22)
    low &= 0x3fffff
  }
  const digits = i - at - 1
  return digits > 0 && digits <= 20 ? time : -1
}

function escapedTime(b: Buffer, from: number, to: number): number {
  const plain = Buffer.from(JSON.stringify(JSON.parse(b.toString('utf8', from, to))))
  return plain.includes(BACKSLASH) ? -1 : timeOf(plain, 0, plain.length)
}
