import { createHash } from 'node:crypto'

interface Named {
  readonly metadata: { readonly name: string }
}

/** What was applied last, so that the same is not applied again: a steady state makes no calls. */
export class Applied {
  readonly #hashes = new Map<string, string>()

  /** Whether something of this name was applied, and is still what it was. */
  knows(kind: string, name: string): boolean {
    return this.#hashes.has(`${kind}/${name}`)
  }

  differs(kind: string, manifest: Named): boolean {
    return this.#hashes.get(`${kind}/${manifest.metadata.name}`) !== hashOf(manifest)
  }

  remember(kind: string, manifest: Named): void {
    this.#hashes.set(`${kind}/${manifest.metadata.name}`, hashOf(manifest))
  }

  forget(kind: string, name: string): void {
    this.#hashes.delete(`${kind}/${name}`)
  }
}

const hashOf = (manifest: Named): string => createHash('sha256').update(JSON.stringify(manifest)).digest('hex')
