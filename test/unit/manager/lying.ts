import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { pino } from 'pino'
import type { Dispatcher } from 'undici'
import { Claims } from '../../../src/manager/claims.ts'
import { httpWorker } from '../../../src/manager/http-worker.ts'
import type { WorkerBound } from '../../../src/manager/worker-bounds.ts'
import { WorkerLink } from '../../../src/manager/worker-link.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const KB = 1024

/** Writes `text` again and again, as fast as it is taken and at most so many bytes, until the other side has enough. */
export async function pour(response: ServerResponse, text: string | Buffer, most: number): Promise<void> {
  response.setMaxListeners(0)
  const whole = Buffer.from(text)
  for (let poured = 0; poured < most; poured += whole.length)
    for (let i = 0; i < whole.length && !response.destroyed; i += 64 * KB) {
      const taken = response.write(whole.subarray(i, i + 64 * KB))
      if (taken) await turn()
      else await Promise.race([new Promise((go) => response.once('drain', go)), gone(response)])
    }
}
const gone = (response: ServerResponse) => new Promise((go) => response.once('close', go))

type Say = (response: ServerResponse) => unknown

/** A server that says on its state stream what `say` writes, and to each command what `command` does. */
async function server(say: Say, command: Say) {
  const closed = Promise.withResolvers<void>()
  const sockets = new Set<Socket>()
  let streams = 0
  const http = createServer((request, response) => {
    response.on('error', () => {})
    if (request.method === 'POST') {
      request.resume().on('end', () => command(response))
      return
    }
    streams++
    response.on('close', () => closed.resolve())
    say(response)
  }).on('connection', (socket) => void sockets.add(socket))
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    closed: closed.promise,
    streams: () => streams,
    /** Bytes that were given to its sockets. */
    read: () => [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0),
    async close() {
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
    },
  }
}

/** A worker that says what `say` writes, and the link to it as its manager has it: one shard, unless said otherwise. */
export async function lying(dispatcher: Dispatcher, say: Say, { shards = 1, command = (() => {}) as Say } = {}) {
  const { url, close, ...seen } = await server(say, command)
  const clock = new VirtualClock()
  const broken: WorkerBound[] = []
  const logged: unknown[] = []
  const heard = Promise.withResolvers<void>()
  const lost = Promise.withResolvers<void>()
  const links = new Map<number, WorkerLink>()
  const claims = new Claims(links)
  claims.wanted(shards, shards)
  const port = httpWorker({ url, keys: () => ['key'], dispatcher, clock })
  const link = new WorkerLink({
    ...{ clock, random: () => 1, ref: { ordinal: 0, uid: 'u', name: 'bot-1-0', port } },
    logger: pino({ level: 'warn' }, { write: (line: string) => void logged.push(JSON.parse(line)) }),
    mayHold: (link) => claims.of(link),
    onBroken: (bound) => broken.push(bound),
    onChange: (_, changed) => (changed ? heard.resolve() : lost.resolve()),
  })
  links.set(0, link)
  return {
    ...{ ...seen, link, clock, broken, logged, port, lost: lost.promise, heard: heard.promise },
    async close() {
      await link.stop()
      await close()
    },
  }
}
