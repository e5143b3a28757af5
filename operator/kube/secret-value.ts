/** What is read of a Secret. */
interface Data {
  readonly data?: Readonly<Record<string, string>>
}

/** The text under a key of a Secret, without white space around it; '': there is none. */
export const secretValue = (secret: Data | undefined, key: string): string =>
  Buffer.from(secret?.data?.[key] ?? '', 'base64')
    .toString()
    .trim()
