import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Rendered, render } from '../../chart/helm.ts'
import { type Bot, eventually, type Operator, type OperatorWorld, startOperatorWorld } from './world.ts'

/** The chart's own roles for one namespace, several and all: what they let the operator do, and what it does. */

const RELEASE = 'system'
const ACCOUNT = `system:serviceaccount:${RELEASE}:shardcluster`
const LEASE = { SHARDCLUSTER_NAMESPACE: RELEASE, SHARDCLUSTER_LEASE_NAME: 'shardcluster' }

let world: OperatorWorld
let bots: Bot[]
let granted: Rendered[] = []
let operator: Operator | undefined
beforeAll(async () => {
  world = await startOperatorWorld({ users: [{ name: ACCOUNT }], audited: [ACCOUNT] })
  // The operator finds its API server as its pod does: as its ServiceAccount.
  process.env['KUBECONFIG'] = world.server.kubeconfigOf(ACCOUNT)
  await world.server.kubectl(['create', 'namespace', RELEASE])
  bots = [await world.bot(), await world.bot(), await world.bot()]
  for (const bot of bots) {
    await bot.secret()
    await bot.create()
  }
})
afterAll(() => world?.close())

const kubectl = (args: string[], input?: object[]) =>
  world.server.kubectl(args, input && { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: input }) })

/**
 * Installs what the chart has of roles, in place of what was there, and starts the operator.
 * @returns the roles in the namespace `without`, which are not installed.
 */
async function watch(watchNamespaces: readonly string[], without?: string): Promise<Rendered[]> {
  await operator?.stop()
  if (granted.length > 0) await kubectl(['delete', '-f', '-'], granted)
  const rights = /^(Cluster)?Role(Binding)?$/
  const rendered = await render({ watchNamespaces, rbac: { aggregateClusterRoles: false } })
  const roles = rendered.filter(({ kind }) => rights.test(kind))
  granted = roles.filter(({ metadata }) => without === undefined || metadata.namespace !== without)
  await kubectl(['create', '-f', '-'], granted)
  operator = await world.operator({ ...LEASE, SHARDCLUSTER_WATCH_NAMESPACES: watchNamespaces.join(',') })
  return roles.filter((role) => !granted.includes(role))
}
const kinds = () => [...new Set(granted.map(({ kind }) => kind))].sort()
const may = (verb: string, resource: string, ...where: string[]) =>
  kubectl(['auth', 'can-i', verb, resource, `--as=${ACCOUNT}`, ...where]).then(
    (answer) => answer.trim(),
    () => 'no',
  )
/** What the operator asked of these since `from`, as `verb resource namespace`. */
const asked = (from: number) => world.server.calls().slice(from)
const withoutPods = ({ rules, ...role }: Rendered) => ({
  ...role,
  ...(rules && { rules: rules.filter(({ resources }) => !resources.includes('pods')) }),
})
const untouched = async (bot: Bot) => {
  expect((await bot.get()).status).toEqual({ observedGeneration: 0 })
  expect(await bot.kubectl('get', 'sts,svc,pods', '-o', 'name')).toBe('')
}

describe('with one namespace to watch, the operator', () => {
  it('runs what is there, with Roles alone, and is refused nothing', async () => {
    const [one, two, three] = bots as [Bot, Bot, Bot]
    await watch([one.namespace])
    expect(kinds()).toEqual(['Role', 'RoleBinding'])
    await one.wait('Ready')
    await untouched(two)
    await untouched(three)
    const calls = asked(0)
    expect(calls.length).toBeGreaterThan(0)
    expect([...new Set(calls.map(({ namespace }) => namespace))].sort()).toEqual([one.namespace, RELEASE].sort())
    expect(calls.filter(({ code }) => code === 401 || code === 403)).toEqual([])
  })

  it('may do there what it needs, and elsewhere nothing', async () => {
    const [one, two] = bots as [Bot, Bot, Bot]
    expect(await may('delete', 'pods', '-n', one.namespace)).toBe('yes')
    for (const [verb, resource] of [
      ['list', 'shardclusters'],
      ['delete', 'pods'],
      ['get', 'secrets'],
    ] as const) {
      expect(await may(verb, resource, '-n', two.namespace), `${verb} ${resource}`).toBe('no')
      expect(await may(verb, resource, '--all-namespaces'), `${verb} ${resource}`).toBe('no')
    }
    expect(await may('get', 'secrets', '-n', RELEASE)).toBe('no')
  })
})

describe('with several', () => {
  it('one whose Role is missing holds up no other, and is run when the Role is there', async () => {
    const [one, two] = bots as [Bot, Bot, Bot]
    const missing = await watch([one.namespace, two.namespace], two.namespace)
    expect(missing.map(({ kind }) => kind).sort()).toEqual(['Role', 'RoleBinding'])
    await eventually(async () => expect((await fetch(`${operator?.url}/readyz`)).status).toBe(200))
    await one.kubectl('scale', 'shc/bot', '--replicas=1')
    await eventually(async () => expect(await one.held()).toHaveLength(1))
    await untouched(two)
    // Without its pods a ShardCluster would look as if nobody held its shards.
    const from = world.server.calls().length
    await kubectl(['create', '-f', '-'], missing.map(withoutPods))
    granted = [...granted, ...missing]
    await eventually(() => {
      const lists = asked(from).filter(({ verb, namespace }) => verb === 'list' && namespace === two.namespace)
      const read = lists.findIndex(({ resource, code }) => resource === 'shardclusters' && code === 200)
      expect(read).toBeGreaterThanOrEqual(0)
      expect(lists.slice(read).filter(({ resource }) => resource === 'pods').length).toBeGreaterThanOrEqual(2)
    }, 100_000)
    await untouched(two)
    await kubectl(['replace', '-f', '-'], missing)
    await two.wait('Ready', 'True', 60)
    expect(two.discord()).toMatchObject({ identifies: 8, connectedShards: 8, violationDetails: [] })
  }, 180_000)

  it('it runs what is in each of them, and goes on with what it ran', async () => {
    const [one, two, three] = bots as [Bot, Bot, Bot]
    const from = world.server.calls().length
    await watch([one.namespace, two.namespace])
    expect(kinds()).toEqual(['Role', 'RoleBinding'])
    await two.wait('Ready')
    await one.kubectl('scale', 'shc/bot', '--replicas=3')
    await eventually(async () => expect(await one.held()).toHaveLength(3))
    await one.wait('Progressing', 'False')
    await untouched(three)
    expect(asked(from).filter(({ code }) => code === 401 || code === 403)).toEqual([])
    expect(one.discord()).toMatchObject({ identifies: 8, connectedShards: 8, violationDetails: [] })
  })
})

describe('with more than one connection has streams for', () => {
  it('it runs what is in the last', async () => {
    // Five watches each; the API server takes a hundred streams a connection.
    const many = Array.from({ length: 25 }, (_, index) => `many-${index}`)
    await kubectl(
      ['create', '-f', '-'],
      many.map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })),
    )
    const last = await world.bot()
    await last.secret()
    await last.create()
    await watch([...many, last.namespace])
    await last.wait('Ready')
    expect(last.discord()).toMatchObject({ identifies: 8, connectedShards: 8, violationDetails: [] })
  })
})

describe('with all', () => {
  it('it runs everything, with one ClusterRole, and asks of all namespaces at once', async () => {
    const [one, two, three] = bots as [Bot, Bot, Bot]
    const from = world.server.calls().length
    await watch([])
    expect(kinds()).toEqual(['ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding'])
    await three.wait('Ready')
    const later = await world.bot()
    await later.secret()
    await later.create()
    await later.wait('Ready')
    const watches = asked(from).filter(({ verb, resource }) => verb === 'watch' && resource === 'shardclusters')
    expect(watches.map(({ namespace }) => namespace)).toEqual(watches.map(() => undefined))
    expect(watches.length).toBeGreaterThan(0)
    expect(asked(from).filter(({ code }) => code === 401 || code === 403)).toEqual([])
    for (const bot of [one, two, three, later])
      expect(bot.discord()).toMatchObject({ identifies: 8, connectedShards: 8, violationDetails: [] })
  })

  it('it may read a Secret by name and list none', async () => {
    expect(await may('get', 'secrets', '--all-namespaces')).toBe('yes')
    expect(await may('list', 'secrets', '--all-namespaces')).toBe('no')
    expect(await may('watch', 'secrets', '--all-namespaces')).toBe('no')
  })
})
