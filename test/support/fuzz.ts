import fc from 'fast-check'

/** `npm run fuzz` has every property tried so many times as often, with other values each time. */
const times = Number(process.env['SHARDCLUSTER_FUZZ'] ?? 1)

/** How often a property is tried that names a number of its own. */
export const runs = (usual: number): number => usual * times

/** Set up for all others: fast-check's own number is 100. */
if (times > 1) fc.configureGlobal({ numRuns: runs(100) })
