import type { WorkerLink } from './worker-link.ts'

/**
 * How the shards that resume now lost their connections, if it was not their worker that began anew: a worker that
 * goes on says why each connection ended. Many at once are Discord restarting a node (op 7, 1001, 1006), not a pod.
 */
export function mostCommonCut(links: Iterable<WorkerLink>): { shards: number; reason: string } | undefined {
  const reasons = new Map<string, number>()
  let shards = 0
  for (const { view } of links) {
    for (const { state, closeCode, reason } of view.connected ? view.shards.values() : []) {
      if (state !== 'Resuming' || closeCode === undefined) continue
      shards++
      const text = reason || `close ${closeCode}`
      reasons.set(text, (reasons.get(text) ?? 0) + 1)
    }
  }
  const [most] = [...reasons].sort(([, a], [, b]) => b - a)
  return most && { shards, reason: most[0] }
}
