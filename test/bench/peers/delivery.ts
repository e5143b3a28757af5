import { jetstream } from '@nats-io/jetstream'
import { connect as connectNats } from '@nats-io/transport-node'
import { connect as connectRabbitmq } from 'amqplib'
import { Redis } from 'ioredis'
import { Pool } from 'undici'
import { EXCHANGE } from '../../support/servers/rabbitmq.ts'
import { type SinkAddress, STREAM_KEY } from '../harness/sink-address.ts'
import { Batches } from './batches.ts'

/** Takes an event as a library hands it over. */
export type Deliver = (shardId: number, payload: { readonly t?: string | null }) => unknown

type BrokerAddress = Extract<SinkAddress, { readonly port: number }>
/** An event on its way to a broker. */
interface Named {
  readonly name: string
  readonly json: string
}

const REQUESTS_IN_FLIGHT = 4

/** Brings events to a sink as the author of a bot would: with the client library as it comes, in batches where it can. */
export async function openDelivery(sink: SinkAddress): Promise<Deliver> {
  switch (sink.kind) {
    case 'http':
      return httpBatches(sink.url)
    case 'http-event':
      return (shardId, payload) => fetchEach(sink.url, shardId, payload)
    case 'nats':
      return brokerBatches(await nats(sink))
    case 'redis':
      return brokerBatches(redis(sink))
    case 'rabbitmq':
      return brokerBatches(await rabbitmq(sink))
  }
}

/** What discordeno's standalone-gateway guide and its bigbot template do: one fetch for each event. */
async function fetchEach(url: string, shardId: number, payload: unknown): Promise<void> {
  await fetch(url, {
    method: 'POST',
    body: JSON.stringify({ payload, shardId }),
    headers: { 'Content-Type': 'application/json', Authorization: 'bench' },
  }).catch((error) => console.error('failed to send an event to the bot:', error))
}

function httpBatches(url: string): Deliver {
  const pool = new Pool(url, { connections: REQUESTS_IN_FLIGHT, pipelining: 1 })
  const headers = { 'content-type': 'application/x-ndjson' }
  const lines = new Batches<string>(async (batch) => {
    const { body, statusCode } = await pool.request({ path: '/', method: 'POST', headers, body: batch.join('\n') })
    await body.dump()
    if (statusCode >= 300) throw new Error(`the sink answered ${statusCode}`)
  }, REQUESTS_IN_FLIGHT)
  return (shardId, payload) => {
    const line = JSON.stringify({ shardId, payload })
    lines.add(line, line.length + 1)
  }
}

/** One batch at a time: with more, events of a shard would pass each other. */
function brokerBatches(send: (batch: Named[]) => Promise<unknown>): Deliver {
  const batches = new Batches<Named>(async (batch) => void (await send(batch)), 1)
  return (shardId, payload) => {
    const json = JSON.stringify({ shardId, payload })
    batches.add({ name: `${shardId}.${payload.t}`, json }, json.length)
  }
}

async function nats({ port, username: user, password: pass }: BrokerAddress) {
  const client = jetstream(await connectNats({ servers: `127.0.0.1:${port}`, user, pass }))
  return (batch: Named[]) => Promise.all(batch.map(({ name, json }) => client.publish(`discord.${name}`, json)))
}

function redis({ port, username, password }: BrokerAddress) {
  const client = new Redis({ host: '127.0.0.1', port, username, password })
  return (batch: Named[]) => {
    const pipeline = client.pipeline()
    for (const { name, json } of batch) pipeline.xadd(STREAM_KEY, '*', 'type', name, 'event', json)
    return pipeline.exec()
  }
}

async function rabbitmq({ port, username, password }: BrokerAddress) {
  const connection = await connectRabbitmq({ hostname: '127.0.0.1', port, username, password })
  const channel = await connection.createConfirmChannel()
  return (batch: Named[]) => {
    for (const { name, json } of batch) channel.publish(EXCHANGE, name, Buffer.from(json), { persistent: true })
    return channel.waitForConfirms()
  }
}
