const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN = [0x7b, 0x5b]
const CLOSE = [0x7d, 0x5d]

/**
 * Whether arrays and objects are nested in one another deeper than `depth` in a text that may be JSON: whatever parses,
 * checks or writes it calls itself for each level. Looks at each character once, and stops at the first level too many.
 */
export function nestedDeeperThan(text: string, depth: number): boolean {
  let level = 0
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (quoted) {
      if (code === BACKSLASH) i++
      else if (code === QUOTE) quoted = false
    } else if (code === QUOTE) quoted = true
    else if (OPEN.includes(code) && ++level > depth) return true
    else if (CLOSE.includes(code)) level--
  }
  return false
}
