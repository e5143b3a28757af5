import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { FrameBatch } from '../../../src/simulator/frames.ts'
import { until } from './client.ts'

interface Message {
  readonly head: string
  readonly payload: Buffer
  readonly binary: boolean
}

let server: WebSocketServer
let client: WebSocket
let socket: Socket
let batch: FrameBatch

beforeEach(async () => {
  server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const [[, request]] = await Promise.all([once(server, 'connection'), once(client, 'open')])
  socket = request.socket
  batch = new FrameBatch(socket)
})

afterEach(() => {
  client.terminate()
  server.close()
})

const bytesOf = ({ head, payload }: Message): Buffer => Buffer.concat([Buffer.from(head, 'latin1'), payload])

/** What `ws`, a client of another's making, understands. */
async function arrivalOf(count: number): Promise<Message[]> {
  const arrived: Message[] = []
  const take = (payload: Buffer, binary: boolean): void => void arrived.push({ head: '', payload, binary })
  client.on('message', take)
  await until(() => arrived.length === count)
  client.off('message', take)
  return arrived
}

async function expectToArrive(messages: readonly Message[]): Promise<void> {
  const arrival = arrivalOf(messages.length)
  for (const { head, payload, binary } of messages) batch.add(payload, head, binary)
  batch.flush()
  const arrived = await arrival
  for (const [i, message] of messages.entries()) {
    expect(arrived[i]?.binary).toBe(message.binary)
    // Not toEqual: it would write megabytes into a failure.
    expect(arrived[i]?.payload.equals(bytesOf(message))).toBe(true)
  }
}

/** Lengths around where the header grows, and around what goes together. */
const length = fc.oneof(
  fc.constantFrom(0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 262_133, 262_134, 262_135, 262_144, 700_000),
  fc.nat(3_000),
)
/** ASCII, because text must be UTF-8. */
const message = fc.record({
  head: fc.string({ unit: 'grapheme-ascii', maxLength: 130 }),
  payload: fc.tuple(length, fc.nat(127)).map(([size, byte]) => Buffer.alloc(size, byte)),
  binary: fc.boolean(),
})

it('is read by ws as the same messages in the same order, whatever their lengths', async () => {
  const batches = fc.array(fc.array(message, { maxLength: 40 }), { minLength: 1, maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(batches, async (each) => {
      for (const messages of each) await expectToArrive(messages)
    }),
    { numRuns: 40 },
  )
})

it('is not overwritten while a client does not read', async () => {
  client.pause()
  const messages = Array.from({ length: 4_000 }, (_, n) => ({
    head: `${n}:`,
    payload: Buffer.alloc(5_000, n % 256),
    binary: true,
  }))
  const arrival = arrivalOf(messages.length)
  for (const [n, { head, payload, binary }] of messages.entries()) {
    batch.add(payload, head, binary)
    if (n % 50 === 49) batch.flush()
  }
  batch.flush()
  // More than sockets hold: the rest waits in the slabs.
  expect(socket.writableLength).toBeGreaterThan(1_000_000)
  client.resume()
  const arrived = await arrival
  expect(messages.findIndex((each, n) => !arrived[n]?.payload.equals(bytesOf(each)))).toBe(-1)
})

it('tells what waits, and holds nothing after it has left', () => {
  batch.add(Buffer.alloc(100), '', true)
  expect(batch.pendingBytes).toBe(102)
  batch.flush()
  expect(batch.pendingBytes).toBe(0)
  const { bytesWritten } = socket
  batch.flush()
  expect(socket.bytesWritten).toBe(bytesWritten)
})
