import { Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { background, guarded, registerUnexpectedErrors } from '../../../src/support/background.ts'

const world = () => {
  const lines: Record<string, unknown>[] = []
  const registry = new Registry()
  registerUnexpectedErrors(registry)
  const count = async (where: string) => {
    const found = await registry.getSingleMetric('shardcluster_unexpected_errors_total')?.get()
    return found?.values.find(({ labels }) => labels['where'] === where)?.value
  }
  return { lines, count, logger: { error: (fields: Record<string, unknown>) => void lines.push(fields) } as never }
}

it('logs and counts what a promise that nobody awaits was rejected with', async () => {
  const { lines, count, logger } = world()
  const err = new RangeError('Invalid time value')
  background(Promise.reject(err), logger, 'test promise')
  background(Promise.resolve(1), logger, 'test promise')
  // Node would end the process in the turn after this one; vitest fails the run.
  await new Promise((resolve) => setImmediate(resolve))
  expect(lines).toEqual([{ err, where: 'test promise' }])
  expect(await count('test promise')).toBe(1)
})

it('logs and counts what a timer threw', async () => {
  const { lines, count, logger } = world()
  const err = new Error('a bug')
  guarded(
    () => {
      throw err
    },
    logger,
    'test timer',
  )
  expect(lines).toEqual([{ err, where: 'test timer' }])
  expect(await count('test timer')).toBe(1)
})

it('shows in more than one registry', async () => {
  const { count, logger } = world()
  const second = world()
  background(Promise.reject(new Error('a bug')), logger, 'test registries')
  await new Promise((resolve) => setImmediate(resolve))
  expect(await count('test registries')).toBe(1)
  expect(await second.count('test registries')).toBe(1)
})
