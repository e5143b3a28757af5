import { FROM_SECRETS } from '../limits.ts'

/**
 * What a Secret's value is for: `Header` travels in an HTTP header, `Line` in a protocol's own field (a user name, a
 * password), `File` is handed on as a file (certificates, credentials).
 */
export type SecretForm = 'Header' | 'Line' | 'File'

/** The form of what a field named `<word>SecretRef` points to; `field` may be a path that ends in it. */
export function formOf(field: string): SecretForm {
  const word = field.slice(field.lastIndexOf('.') + 1)
  if (word === 'usernameSecretRef' || word === 'passwordSecretRef') return 'Line'
  return word === 'tokenSecretRef' || word === 'authorizationSecretRef' ? 'Header' : 'File'
}

/** Printable ASCII: what every HTTP client sends as it is (RFC 9110, section 5.5). */
const HEADER = /^[\x20-\x7e]*$/

/** No control character: neither a line feed nor a NUL. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const LINE = /^[^\u0000-\u001f\u007f]*$/

/**
 * Why a value cannot be what its field is for; undefined: it can. Says nothing of the value: a library that is handed an
 * ill-formed one puts it into its error, and that would reach status and logs.
 */
export function formProblem(value: string, form: SecretForm): string | undefined {
  const most = form === 'File' ? FROM_SECRETS.fileBytes : FROM_SECRETS.valueBytes
  if (Buffer.byteLength(value) > most) return `has more than ${most} bytes`
  if (form === 'Header' && !HEADER.test(value))
    return 'has more than one line, or a character that is no printable ASCII'
  if (form === 'Line' && !LINE.test(value)) return 'has more than one line, or a control character'
  return undefined
}
