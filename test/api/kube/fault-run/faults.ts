import { setTimeout as delay } from 'node:timers/promises'
import type { OpenWatch } from '../../../support/api-proxy/open-watch.ts'
import type { Random } from '../../../support/random.ts'
import { status } from '../answers.ts'
import { other, type Rig } from './rig.ts'
import { KINDS, type Writer } from './writer.ts'

export interface Scene {
  readonly rig: Rig
  readonly writer: Writer
  readonly random: Random
}

/** Does something to the runtime, with changes going on, and ends when the trouble is over. */
type Fault = (scene: Scene) => Promise<void>

const failure = (code: number, reason: string) => JSON.stringify(status(code, reason))
const anyResource = ({ random }: Scene) => random.pick(KINDS).resource.plural

/** A watch that is open, of a resource chosen at random. */
async function someWatch(scene: Scene): Promise<OpenWatch> {
  for (;;) {
    const open = scene.rig.http.watches().filter(({ silent }) => !silent)
    if (open.length > 0) return scene.random.pick(open)
    await delay(5)
  }
}

/** The next calls are answered so; watches are cut off, so that there are calls. */
function answered(code: number, reason: string, headers: Record<string, string> = {}): Fault {
  return async (scene) => {
    const { http } = scene.rig
    const times = scene.random.int(1, 7)
    http.inject({ kind: 'answer', status: code, body: failure(code, reason), headers }, () => true, times)
    for (const watch of http.watches()) if (scene.random.chance(0.5)) watch.kill()
    ;(await someWatch(scene)).kill()
    await scene.writer.write(3)
  }
}

async function whileDown({ rig, writer, random }: Scene, meanwhile: () => Promise<void>): Promise<void> {
  await rig.tcp.refuse()
  rig.tcp.cut()
  await writer.write(random.int(1, 4))
  await meanwhile()
  await rig.tcp.heal()
}

/** Every list is made anew, and goes wrong so. */
async function relisting(scene: Scene, how: Parameters<Rig['http']['inject']>[0], times: number): Promise<void> {
  const { http } = scene.rig
  http.inject(how, ({ kind }) => kind === 'list', times)
  for (const watch of http.watches()) watch.say(JSON.stringify({ type: 'ERROR', object: status(410, 'Expired') }))
  await scene.writer.write(4)
}

export const FAULTS: Readonly<Record<string, Fault>> = {
  'watch killed': async (scene) => {
    ;(await someWatch(scene)).kill()
    await scene.writer.write(3)
  },
  'connections reset': async ({ rig, writer }) => {
    rig.tcp.cut()
    await writer.write(3)
  },
  '410 as an answer': async (scene) => {
    const watch = await someWatch(scene)
    const { resource } = watch.seen
    const gone = { kind: 'answer', status: 410, body: failure(410, 'Expired') } as const
    scene.rig.http.inject(gone, (seen) => seen.kind === 'watch' && seen.resource === resource)
    watch.kill()
    for (let times = 0; times < 3; times += 1) await scene.writer.writeOne(resource)
  },
  '410 in the stream': async (scene) => {
    const watch = await someWatch(scene)
    await scene.writer.writeOne(watch.seen.resource)
    watch.say(JSON.stringify({ type: 'ERROR', object: status(410, 'Expired') }))
    await scene.writer.writeOne(watch.seen.resource)
  },
  '500': answered(500, 'InternalError'),
  '503': answered(503, 'ServiceUnavailable'),
  '429 with Retry-After': answered(429, 'TooManyRequests', { 'retry-after': '1' }),
  '429 without': answered(429, 'TooManyRequests', { 'retry-after': '0' }),
  'black hole': async ({ rig, writer, random }) => {
    rig.tcp.blackHole()
    await writer.write(4)
    await delay(random.int(100, 1_200))
    await rig.tcp.heal()
  },
  'black hole for what is open': async ({ rig, writer }) => {
    rig.tcp.blackHole({ onlyOpen: true })
    await writer.write(4)
  },
  'silent watch': async (scene) => {
    const watch = await someWatch(scene)
    watch.silence()
    for (let times = 0; times < 3; times += 1) await scene.writer.writeOne(watch.seen.resource)
  },
  'no answer': async (scene) => {
    const resource = anyResource(scene)
    scene.rig.http.inject({ kind: 'hang' }, (seen) => seen.resource === resource, scene.random.int(1, 2))
    for (const watch of scene.rig.http.watches(resource)) watch.kill()
    for (let times = 0; times < 3; times += 1) await scene.writer.writeOne(resource)
  },
  'slow lists': (scene) => relisting(scene, { kind: 'slow', ms: scene.random.int(50, 600) }, 5),
  'lists too slow': (scene) => relisting(scene, { kind: 'slow', ms: 2_000 }, 2),
  'cut line': async (scene) => {
    const watch = await someWatch(scene)
    watch.truncateNext()
    for (let times = 0; times < 3; times += 1) await scene.writer.writeOne(watch.seen.resource)
  },
  'nonsense line': async (scene) => {
    const watch = await someWatch(scene)
    watch.say(scene.random.pick(['{"type":"ADDED","obj', '<html>', '{"type":"ADDED","object":{}}', 'null']))
    for (let times = 0; times < 3; times += 1) await scene.writer.writeOne(watch.seen.resource)
  },
  'connection refused': (scene) => whileDown(scene, () => delay(scene.random.int(20, 400))),
  'API server restarted': (scene) => whileDown(scene, () => scene.rig.server.restart()),
  'token rotated': async ({ rig, writer, random }) => {
    const token = `token-${random.int(1, 1e9)}`
    rig.http.token = token
    for (const watch of rig.http.watches()) watch.kill()
    await writer.write(3)
    await rig.files.token(token)
  },
  'CA rotated': async ({ rig, writer }) => {
    rig.now.identity = other(rig.now.identity)
    rig.http.present(rig.now.identity)
    rig.tcp.cut()
    await writer.write(3)
    await rig.files.ca(rig.now.identity)
  },
}

/** A restart takes seconds. */
const RARE = new Set(['API server restarted'])
const OFTEN = 3

/** Every kind in each round of this deck, in an order of its own. */
export function* deck(random: Random): Generator<string> {
  for (;;) {
    const cards = Object.keys(FAULTS).flatMap((kind) => Array<string>(RARE.has(kind) ? 1 : OFTEN).fill(kind))
    while (cards.length > 0) yield cards.splice(random.int(0, cards.length - 1), 1)[0] as string
  }
}
