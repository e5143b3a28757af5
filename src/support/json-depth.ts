const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * Whether JSON text nests at most `depth` arrays and objects: `{}` is 1, `[{}]` 2, a number 0. One look at each
 * character, so that it may be asked before JSON.parse, which recurses. Of text that is no JSON it says anything.
 */
export function nestsWithin(text: string, depth: number): boolean {
  let open = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = endOfString(text, at)
    // `[` and `{` differ from `]` and `}` by two.
    else if (code === 0x5b || code === 0x7b) {
      if (++open > depth) return false
    } else if (code === 0x5d || code === 0x7d) open--
  }
  return true
}

/** Where the string that begins at `from` ends; the end of the text, if it does not. */
function endOfString(text: string, from: number): number {
  let at = from + 1
  for (let code = text.charCodeAt(at); at < text.length && code !== QUOTE; code = text.charCodeAt(at))
    at += code === BACKSLASH ? 2 : 1
  return at
}
