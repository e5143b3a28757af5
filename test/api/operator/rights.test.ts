import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  grantRights,
  type OperatorProcess,
  type RightsRule,
  rightsOfChart,
  startOperatorProcess,
} from './operator-process.ts'
import { type Bot, eventually, OPERATOR, type OperatorWorld, startOperatorWorld } from './world.ts'

/**
 * Every right that the chart gives the operator is taken away, one at a time, on a real API server; each time something
 * is refused that the operator needs. That all of them together are enough shows sessions.test.ts.
 */

/** One verb on one resource. */
interface Right {
  readonly verb: string
  /** With its subresource. */
  readonly resource: string
  readonly group: string
}
const nameOf = ({ verb, resource, group }: Right) => `${verb} ${resource}${group && `.${group}`}`

const rights: Right[] = rightsOfChart().flatMap(({ apiGroups, resources, verbs }) =>
  apiGroups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => ({ verb, resource, group })))),
)

/** The chart's rules without that one. */
const without = ({ verb, resource, group }: Right): RightsRule[] =>
  rightsOfChart()
    .map((rule) =>
      rule.apiGroups.includes(group) && rule.resources.includes(resource)
        ? { ...rule, verbs: rule.verbs.filter((each) => each !== verb) }
        : rule,
    )
    .filter(({ verbs }) => verbs.length > 0)

/** What the API server says to who lacks it. */
const refusal = ({ verb, resource, group }: Right) =>
  resource.endsWith('/finalizers')
    ? "you can't set finalizers on"
    : `User "${OPERATOR}" cannot ${verb} resource "${resource}" in API group "${group}"`

let world: OperatorWorld
beforeAll(async () => {
  world = await startOperatorWorld()
})
afterAll(() => world?.close())

/** Until the API server's authorizer, which watches the roles, knows it. */
async function take(right: Right): Promise<void> {
  await grantRights(world.server, without(right))
  const { verb, resource, group } = right
  const [kind, subresource] = resource.split('/')
  const named = resource === 'leases' && verb !== 'create' ? '/shardcluster-operator' : ''
  const question = ['auth', 'can-i', verb, `${kind}${group && `.${group}`}${named}`, `--as=${OPERATOR}`, '--quiet']
  if (subresource) question.push(`--subresource=${subresource}`)
  await eventually(() => expect(world.server.kubectl(question)).rejects.toThrow())
}

/** Until an operator has been refused that, after `from` characters of its log. */
const refused = (operator: OperatorProcess, right: Right, from = 0) =>
  eventually(() => expect(operator.log().slice(from).replaceAll('\\"', '"')).toContain(refusal(right)))

/** Before there is a leader: what a process does as it starts. */
const AT_START = rights.filter(
  ({ verb, resource }) =>
    verb === 'list' || verb === 'watch' || (resource === 'leases' && (verb === 'create' || verb === 'get')),
)

describe('an operator that starts misses the right to', () => {
  it.for(AT_START.map((right) => [nameOf(right), right] as const))('%s', async ([, right]) => {
    await take(right)
    // Made once; each is to be the first.
    await world.server.kubectl(['delete', 'leases', '--all'])
    const operator = await startOperatorProcess(world.server, 'starting')
    try {
      await refused(operator, right)
    } finally {
      await operator.crash()
    }
  })
})

describe('a leader misses the right to', () => {
  let leader: OperatorProcess
  let standing: Bot
  beforeAll(async () => {
    await grantRights(world.server)
    leader = await startOperatorProcess(world.server, 'leader')
    standing = await world.bot()
    await standing.secret()
    await standing.create()
    await standing.wait('Ready', 'True', 90)
  })
  afterAll(() => leader?.crash())

  const patch = (bot: Bot, spec: object) =>
    bot.kubectl('patch', 'shc/bot', '--type=merge', '-p', JSON.stringify({ spec }))

  async function anotherBot(): Promise<void> {
    const bot = await world.bot()
    await bot.secret()
    await bot.create()
  }
  /** The same trouble twice: the second time it is counted on the event of the first. */
  async function twoOfAKind(): Promise<void> {
    const bot = await world.bot()
    await bot.create()
    await bot.wait('Stalled')
    await bot.secret()
    await patch(bot, { worker: { podAnnotations: { visit: '1' } } })
    await bot.wait('Stalled', 'False')
    await bot.kubectl('delete', 'secret/bot')
    await patch(bot, { worker: { podAnnotations: { visit: '2' } } })
    await bot.wait('Stalled')
  }
  const others: Readonly<Record<string, () => Promise<unknown>>> = {
    // Renewed every two seconds.
    'update leases.coordination.k8s.io': async () => {},
    'delete pods': () => patch(standing, { worker: { image: 'shardcluster:next' } }),
    'delete statefulsets.apps': () => patch(standing, { totalShards: 10 }),
    'patch events.events.k8s.io': twoOfAKind,
  }
  const rest = rights.filter((right) => !AT_START.includes(right))

  it.for(rest.map((right) => [nameOf(right), right] as const))('%s', { timeout: 180_000 }, async ([name, right]) => {
    await take(right)
    const from = leader.log().length
    await (others[name] ?? anotherBot)()
    await refused(leader, right, from)
    await grantRights(world.server)
  })

  it('nothing, once it has them all again', async () => {
    await standing.wait('Ready', 'True', 120)
    await standing.wait('Progressing', 'False', 120)
    expect((await standing.get()).status).toMatchObject({ totalShards: 10, readyShards: 10, updatedWorkers: 2 })
    await eventually(async () =>
      expect(await standing.kubectl('get', 'sts', '-o', 'name')).toBe('statefulset.apps/bot-10\n'),
    )
  }, 300_000)
})
