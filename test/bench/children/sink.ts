// The other end of an http sink, as cheap as it gets: it counts lines and parses nothing. POST / takes events.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { takeOrders } from './orders.ts'
import { LINE_FEED, sendTimes, Tally } from './tally.ts'

const tally = new Tally()

const server = createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/') take(request, response)
  else tally.answer(request, response)
})

/** Events are counted when the whole request has arrived: what is counted is what is confirmed. */
function take(request: IncomingMessage, response: ServerResponse): void {
  const batch = request.headers['content-type'] === 'application/x-ndjson'
  const { timing } = tally
  const sentAt: number[] = []
  let lines = 0
  let bytes = 0
  let last = LINE_FEED
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    last = chunk[chunk.length - 1] ?? last
    if (timing) sendTimes(chunk, sentAt)
    if (batch) for (let at = chunk.indexOf(LINE_FEED); at !== -1; at = chunk.indexOf(LINE_FEED, at + 1)) lines++
  })
  request.on('end', () => {
    tally.requests++
    tally.bytes += bytes
    // The last line may lack its end; whatever is not a batch is one event.
    tally.events += batch ? lines + (last === LINE_FEED ? 0 : 1) : 1
    response.writeHead(204).end()
    tally.time(sentAt)
  })
}

server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => {
  takeOrders({}, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
})
