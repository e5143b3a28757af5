import { setTimeout as sleep } from 'node:timers/promises'

/** Polls until `done` says so. @throws Error that names `what` when that takes longer than `timeoutMs`. */
export async function until(
  what: string,
  timeoutMs: number,
  done: () => boolean | Promise<boolean>,
  everyMs = 50,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await done())) {
    if (performance.now() > deadline) throw new Error(`${what} did not happen within ${timeoutMs / 1000} s`)
    await sleep(everyMs)
  }
}

/** Runs `action` for each item, at most `atOnce` at a time. */
export async function forEach<T>(
  items: readonly T[],
  atOnce: number,
  action: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0
  const lane = async () => {
    for (let index = next++; index < items.length; index = next++) await action(items[index] as T)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, lane))
}
