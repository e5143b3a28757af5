import { isUtf8 } from 'node:buffer'

/**
 * The head of a gateway payload, read from its bytes: Discord writes `{"t":…,"s":…,"op":…,"d":…`, and parsing the rest
 * costs ten times what forwarding it does. Any other shape is parsed as JSON, with the same result. What lies within `d`
 * is not looked at, but that a payload is one line: events are told apart by lines on their way.
 *
 * The result is in `head` until the next call: an object per event would be garbage a hundred thousand times a second.
 */
export const head = {
  op: -1,
  /** -1: null. */
  seq: -1,
  /** hashType of `t`; 0: null. */
  type: 0,
  /** Where the text of `t` is in the bytes; both 0 when it was not read from there. */
  typeFrom: 0,
  typeTo: 0,
  /** `t`, when it was not read from the bytes. */
  typeText: '',
}

const LINE_FEED = 10
const CARRIAGE_RETURN = 13
const SPACE = 32
const QUOTE = 34
const COMMA = 44
const COLON = 58
const BRACE = 123
const BRACE_END = 125

/** Longest name of an event, in characters: names become labels of metrics and parts of topics. */
const LONGEST_TYPE = 100

/** A number for an event name: comparing it costs nothing, and no two of Discord's names share one. */
export function hashType(name: string): number {
  let hash = 0
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0
  return hash
}

/**
 * Reads the head of the payload in `bytes` [from, to) into `head`. Ends of lines between its tokens become spaces.
 * @throws SyntaxError when it is not a gateway payload.
 */
export function readHead(bytes: Buffer, from: number, to: number): void {
  if (readFast(bytes, from, to) && isOneLine(bytes, from, to)) return
  parse(bytes, from, to)
  join(bytes, from, to)
}

/** The text of `t` of the payload that was read last, from the same bytes; '' for null. */
export function headType(bytes: Buffer): string {
  return head.typeTo > 0 ? bytes.toString('latin1', head.typeFrom, head.typeTo) : head.typeText
}

function readFast(b: Buffer, from: number, to: number): boolean {
  // Every index below is within [from, to): a head is never longer than 96 bytes, and shorter payloads are parsed.
  if (to - from < 24) return false
  if (b[from] !== BRACE || b[from + 1] !== QUOTE || b[from + 2] !== 116 || b[from + 3] !== QUOTE) return false
  if (b[from + 4] !== COLON) return false
  let i = readType(b, from + 5, Math.min(to, from + 64))
  if (i < 0 || i + 6 > to) return false
  if (b[i] !== COMMA || b[i + 1] !== QUOTE || b[i + 2] !== 115 || b[i + 3] !== QUOTE || b[i + 4] !== COLON) return false
  i = readSequence(b, i + 5, to)
  if (i < 0 || i + 8 > to) return false
  if (b[i] !== COMMA || b[i + 1] !== QUOTE || b[i + 2] !== 111 || b[i + 3] !== 112 || b[i + 4] !== QUOTE) return false
  return b[i + 5] === COLON && readOpcode(b, i + 6, to)
}

/** @returns the index after `t`, or -1. */
function readType(b: Buffer, from: number, to: number): number {
  let i = from
  if (b[i] !== QUOTE) {
    if (!isNull(b, i)) return -1
    head.type = head.typeFrom = head.typeTo = 0
    head.typeText = ''
    return i + 4
  }
  let hash = 0
  for (i++; i < to; i++) {
    const c = b[i] as number
    if (c === QUOTE) break
    // A to Z, 0 to 9 and the underscore: anything else may be escaped, or wider than a byte.
    if (!((c >= 65 && c <= 90) || c === 95 || (c >= 48 && c <= 57))) return -1
    hash = (Math.imul(hash, 31) + c) | 0
  }
  if (i >= to || i === from + 1) return -1
  head.type = hash
  head.typeFrom = from + 1
  head.typeTo = i
  return i + 1
}

/** @returns the index after `s`, or -1. */
function readSequence(b: Buffer, from: number, to: number): number {
  if (isNull(b, from)) {
    head.seq = -1
    return from + 4
  }
  let i = from
  let value = 0
  while (i < to && isDigit(b[i] as number)) value = value * 10 + (b[i++] as number) - 48
  const digits = i - from
  if (digits === 0 || digits > 15 || (digits > 1 && b[from] === 48)) return -1
  head.seq = value
  return i
}

function readOpcode(b: Buffer, from: number, to: number): boolean {
  let i = from
  let value = 0
  while (i < to && isDigit(b[i] as number)) value = value * 10 + (b[i++] as number) - 48
  const digits = i - from
  if (digits === 0 || digits > 3 || (digits > 1 && b[from] === 48) || i + 5 >= to) return false
  head.op = value
  return b[i] === COMMA && b[i + 1] === QUOTE && b[i + 2] === 100 && b[i + 3] === QUOTE && b[i + 4] === COLON
}

/** Whether [from, to) ends as an object does and has no end of a line in it: 40 ns for an event of 1.2 KB. */
function isOneLine(b: Buffer, from: number, to: number): boolean {
  if (b[to - 1] !== BRACE_END) return false
  if (to === b.length) return b.indexOf(LINE_FEED, from) < 0
  // The search would go on to the end of the memory: it is stopped where the payload ends.
  const next = b[to] as number
  b[to] = LINE_FEED
  const found = b.indexOf(LINE_FEED, from)
  b[to] = next
  return found === to
}

/** Puts a payload that was parsed on one line. In JSON an end of a line is white space, and nothing else. */
function join(b: Buffer, from: number, to: number): void {
  for (let i = from; i < to; i++) if (b[i] === LINE_FEED || b[i] === CARRIAGE_RETURN) b[i] = SPACE
}

const isDigit = (c: number): boolean => c >= 48 && c <= 57

const isNull = (b: Buffer, i: number): boolean =>
  b[i] === 110 && b[i + 1] === 117 && b[i + 2] === 108 && b[i + 3] === 108

function parse(bytes: Buffer, from: number, to: number): void {
  if (!isUtf8(bytes.subarray(from, to))) throw new SyntaxError('a gateway payload is UTF-8')
  const payload: unknown = JSON.parse(bytes.toString('utf8', from, to))
  if (typeof payload !== 'object' || payload === null) throw new SyntaxError('a gateway payload is an object')
  const { op, s, t } = payload as { op?: unknown; s?: unknown; t?: unknown }
  if (!Number.isInteger(op)) throw new SyntaxError('a gateway payload has an opcode')
  head.op = op as number
  head.seq = Number.isSafeInteger(s) && (s as number) >= 0 ? (s as number) : -1
  head.typeText = typeof t === 'string' ? t : ''
  if (head.typeText.length > LONGEST_TYPE) throw new SyntaxError('the name of an event is too long')
  head.type = hashType(head.typeText)
  head.typeFrom = head.typeTo = 0
}
