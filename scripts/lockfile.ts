import { z } from 'zod'

const lockSchema = z.object({
  lockfileVersion: z.literal(3),
  packages: z.record(
    z.string(),
    z.object({
      integrity: z.string().optional(),
      resolved: z.string().optional(),
      link: z.boolean().optional(),
      inBundle: z.boolean().optional(),
      hasInstallScript: z.boolean().optional(),
    }),
  ),
})

const SHA512 = /^sha512-[A-Za-z0-9+/]{86}==$/

/** Packages that bring an install script, which nobody runs and which was looked at: this one only prints a warning. */
const KNOWN_SCRIPTS = ['node_modules/protobufjs']

/**
 * What is wrong with a package-lock.json, a line each. A package without `integrity` is installed unchecked, `resolved`
 * names a registry (which is for whoever installs to choose), and a new install script is to be looked at by a person.
 * @throws ZodError when it is no lock file of version 3.
 */
export function lockfileProblems(lock: unknown): string[] {
  return Object.entries(lockSchema.parse(lock).packages).flatMap(([path, entry]) => {
    // The project itself; what lies in the checkout; what came in its parent's archive and was checked with that.
    if (path === '' || entry.link || entry.inBundle) return []
    const problems: string[] = []
    if (!SHA512.test(entry.integrity ?? ''))
      problems.push(`${path} has no sha512: remove the entry and run "npm install --package-lock-only"`)
    if (entry.resolved !== undefined)
      problems.push(`${path} names where it came from: install with the project's own .npmrc`)
    if (entry.hasInstallScript && !KNOWN_SCRIPTS.includes(path))
      problems.push(`${path} has an install script, which is not run: see that it works without, and enter it here`)
    return problems
  })
}
