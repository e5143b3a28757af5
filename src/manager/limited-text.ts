/** There is more than was asked for; the rest was not read. */
export class TooLarge extends Error {
  override readonly name = 'TooLarge'
  constructor(bytes: number) {
    super(`more than ${bytes} bytes`)
  }
}

/** Reads a body of at most so many bytes as text. @throws TooLarge as soon as there are more: nothing after that is read. */
export async function limitedText(body: AsyncIterable<Uint8Array>, bytes: number): Promise<string> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of body) {
    size += part.length
    if (size > bytes) throw new TooLarge(bytes)
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}
