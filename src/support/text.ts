import { MAX_FOREIGN_TEXT } from '../limits.ts'

const ELLIPSIS = '…'
/** Control characters, which terminals obey, and the line ends that JSON knows nothing of. */
const CONTROL = /[\p{Cc}\u2028\u2029]/gu

/**
 * At most `max` characters (UTF-16 code units; at least 1) of a text, with an ellipsis when it was cut; never half of a
 * character. The result is a string of its own: a piece of a large string would keep all of it in memory.
 */
export function cutText(text: string, max = MAX_FOREIGN_TEXT): string {
  if (text.length <= max) return text
  const end = max - ELLIPSIS.length
  const high = text.charCodeAt(end - 1)
  const kept = high >= 0xd800 && high <= 0xdbff ? end - 1 : end
  return Buffer.from(text.slice(0, kept), 'utf16le').toString('utf16le') + ELLIPSIS
}

/** What foreignText would change in a text that is short enough; surrogates are looked at more closely there. */
const NOT_PLAIN = /[\p{Cc}\u2028\u2029\ud800-\udfff]/u

/** Whether foreignText would leave the text as it is; false when it cannot be told at a glance. */
export const isPlain = (text: string, max: number): boolean => text.length <= max && !NOT_PLAIN.test(text)

/** Foreign text for people: cut, in one line, without control characters, and well-formed, as the API server wants it. */
export const foreignText = (text: string, max = MAX_FOREIGN_TEXT): string =>
  cutText(text, max).replace(CONTROL, ' ').toWellFormed()
