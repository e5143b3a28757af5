import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

/** A release that cannot be made as it was asked for. The message says what to do. */
export class ReleaseRefused extends Error {
  override readonly name = 'ReleaseRefused'
}

/** What `sha256sum --check` reads: a line for each file of the folder, by name. */
export function checksums(folder: string, names: readonly string[]): string {
  const hash = (name: string) =>
    createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex')
  return names
    .toSorted()
    .map((name) => `${hash(name)}  ${name}\n`)
    .join('')
}

const DIGEST_REFERENCE = /^[a-z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}$/

/** An image by its digest: a tag may be another image tomorrow. @throws ReleaseRefused when it is none. */
export function byDigest(reference: string, option: string): string {
  if (!DIGEST_REFERENCE.test(reference))
    throw new ReleaseRefused(
      `--${option} ${reference} is no image by digest (name@sha256:...): docker buildx imagetools inspect says which it is`,
    )
  return reference
}

/** The versions that must be one: of the package, the chart, the image the chart takes, and the tag where there is one. */
export interface Versions {
  readonly package: string
  readonly chart: string
  readonly app: string
  readonly tag: string | undefined
}

/** @returns the release's version. @throws ReleaseRefused when they are not one. */
export function oneVersion({ package: version, chart, app, tag }: Versions): string {
  const said = {
    'package.json': version,
    'the chart': chart,
    "the chart's appVersion": app,
    'the tag': tag?.replace(/^v/, ''),
  }
  const other = Object.entries(said).filter(([, each]) => each !== undefined && each !== version)
  if (other.length > 0)
    throw new ReleaseRefused(
      `package.json says version ${version}, ${other.map(([what, each]) => `${what} ${each}`).join(', ')}: make them one`,
    )
  return version
}

const flagsSchema = z.looseObject({
  dev: z.boolean().optional(),
  optional: z.boolean().optional(),
  devOptional: z.boolean().optional(),
})
const lockSchema = z.looseObject({ packages: z.record(z.string(), flagsSchema) })

/**
 * package.json and package-lock.json of what the image installs, and of nothing else: `npm sbom --omit=dev` leaves out
 * whatever a development package needs as well, which is a third of production.
 * @throws ZodError when `lock` is none.
 */
export function productionOnly(manifest: object, lock: unknown): { manifest: object; lock: object } {
  const bare = (each: object) => ({ ...each, devDependencies: {}, optionalDependencies: {} })
  const { packages, ...rest } = lockSchema.parse(lock)
  const kept = Object.entries(packages).filter(
    ([, { dev, optional, devOptional }]) => !dev && !optional && !devOptional,
  )
  const { '': root = {}, ...others } = Object.fromEntries(kept)
  return { manifest: bare(manifest), lock: { ...rest, packages: { '': bare(root), ...others } } }
}

/** What became of the question whether the registry signed what is installed. */
export type Signatures =
  | { readonly kind: 'Signed' }
  /** The registry, or whoever keeps its keys, did not answer, or has no keys. `reason`: npm's error code. */
  | { readonly kind: 'NotAnswered'; readonly reason: string }
  | { readonly kind: 'NotSigned'; readonly packages: readonly string[] }

const packagesSchema = z.array(z.object({ name: z.string(), version: z.string() }))
const auditSchema = z.object({ invalid: packagesSchema, missing: packagesSchema })
const failureSchema = z.object({ error: z.object({ code: z.string().nullish() }) })

/** What `npm audit signatures --json` says. In doubt it has not answered, and never that all is well. */
export function signaturesOf(exitCode: number, output: string): Signatures {
  const said = jsonOr(output)
  const audit = auditSchema.safeParse(said)
  if (!audit.success) {
    const failure = failureSchema.safeParse(said)
    return { kind: 'NotAnswered', reason: (failure.success && failure.data.error.code) || `exit code ${exitCode}` }
  }
  const packages = [...audit.data.invalid, ...audit.data.missing].map(({ name, version }) => `${name}@${version}`)
  if (packages.length > 0) return { kind: 'NotSigned', packages }
  return exitCode === 0 ? { kind: 'Signed' } : { kind: 'NotAnswered', reason: `exit code ${exitCode}` }
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
