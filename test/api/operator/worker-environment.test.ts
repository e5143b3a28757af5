import { expect, it } from 'vitest'
import { statefulSets } from '../../../operator/kube/resources.ts'
import { WORKER_RUNTIME } from '../../../src/protocol/worker-settings.ts'
import { startOperatorWorld } from './world.ts'

interface EnvironmentSpec {
  readonly spec: {
    readonly template: {
      readonly spec: { readonly containers: { readonly env: { readonly name: string; readonly value?: string }[] }[] }
    }
  }
}

// The API server applies no list in which a name comes twice.
it('variables of spec.worker.env take the place of ours with the same name, and NODE_OPTIONS are added to ours', async () => {
  await using ending = new AsyncDisposableStack()
  const world = ending.adopt(await startOperatorWorld(), (w) => w.close())
  await world.operator()
  const bot = await world.bot()
  await bot.secret()
  await bot.create((spec) => {
    spec['worker'] = {
      image: 'example.org/shardcluster:1',
      env: [
        { name: 'TZ', value: 'UTC' },
        { name: 'NODE_OPTIONS', value: '--max-old-space-size=512' },
        { name: 'MALLOC_ARENA_MAX', value: '2' },
      ],
    }
  })
  await bot.wait('Ready')
  const { containers } = (await bot.child<EnvironmentSpec>(statefulSets, 'bot-8'))?.spec.template.spec ?? {}
  const variables = containers?.[0]?.env ?? []
  const valuesOf = (name: string) => variables.filter((each) => each.name === name).map(({ value }) => value)
  expect(valuesOf('TZ')).toEqual(['UTC'])
  expect(valuesOf('MALLOC_ARENA_MAX')).toEqual(['2'])
  expect(valuesOf('NODE_OPTIONS')).toEqual([`${WORKER_RUNTIME.NODE_OPTIONS} --max-old-space-size=512`])
})
