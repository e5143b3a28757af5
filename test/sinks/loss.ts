import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { SinkOptions } from '../../sharder/sinks/buffered-sink.ts'
import type { SinkSettings } from '../../src/protocol/sink-settings.ts'
import { FaultProxy } from '../support/fault-proxy.ts'
import type { Broker } from '../support/servers/broker.ts'
import { until } from '../support/sharder.ts'
import { MOST_BYTES, SinkUnderTest } from './sink-under-test.ts'
import { Traffic } from './traffic.ts'

/** What a kind of sink brings to the tests that all kinds share. */
export interface KindUnderTest {
  readonly start: (options?: { readonly tls: boolean }) => Promise<Broker>
  /** Makes what events go into, empty. */
  readonly empty: (broker: Broker) => Promise<void>
  readonly settings: (port: number, credentials: Credentials) => Omit<SinkSettings, 'name'>
}

export interface Credentials {
  readonly usernameFile: string
  readonly passwordFile: string
  readonly tls?: { readonly caFile: string }
}

/** A disk may be slow, and RabbitMQ confirms what is on it: how fast a sink is shows the bench. In milliseconds. */
const PATIENCE_MS = 240_000

const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** The contract of a sink, on a real server that fails in every way: nothing is lost, and no event overtakes another. */
export function losesNothing(name: string, kind: KindUnderTest): void {
  describe(`the ${name} sink`, () => {
    let broker: Broker
    let proxy: FaultProxy
    let test: SinkUnderTest
    beforeAll(async () => {
      broker = await kind.start()
    })
    afterAll(() => broker?.close())
    beforeEach(async () => {
      test = new SinkUnderTest()
      await kind.empty(broker)
      proxy = await FaultProxy.start({ host: '127.0.0.1', port: broker.port })
    })
    afterEach(async () => {
      broker.resume()
      await test.close()
      await proxy.close()
    })

    const traffic = (shards?: number, options?: Partial<SinkOptions>) =>
      new Traffic(test.open(kind.settings(proxy.port, test), options), shards)
    const check = async (sent: Traffic, label: string) => {
      expect(await test.sink.flush(PATIENCE_MS)).toBe(true)
      const account = sent.account(await broker.read())
      console.log(`${name}, ${label}: ${JSON.stringify(account)}`)
      expect(account).toMatchObject({ lost: 0, overtaken: 0 })
      expect(sent.confirmed).toBe(true)
      expect(test.sink.record()).toEqual({ name: 'bot', state: 'Flowing', pending: 0 })
      return account
    }

    it('delivers each event once, and confirms it, while all is well', async () => {
      // Many shards: one event of each is under way, and on a slow disk that takes 20 ms.
      const sent = traffic(200)
      const started = performance.now()
      await sent.send(100)
      expect(await test.sink.flush(PATIENCE_MS)).toBe(true)
      console.log(`${name}: ${Math.round(20_000 / ((performance.now() - started) / 1_000))} events/s`)
      expect((await check(sent, 'all well')).duplicates).toBe(0)
    })

    it('loses nothing when the server is killed and started again under load', async () => {
      const sent = traffic()
      await sent.during(async () => {
        for (let round = 0; round < 2; round++) {
          await wait(500)
          await broker.kill()
          await wait(300)
          await broker.start()
        }
        await wait(500)
      })
      await check(sent, 'server killed twice')
    })

    it('keeps memory bounded and pauses the sockets while the server hangs', async () => {
      const sent = traffic()
      let held = 0
      await sent.during(
        async () => {
          await wait(200)
          broker.pause()
          await until(() => test.fullTimes > 0)
          // Longer than a confirmation is waited for: the batches in flight are given up and sent again.
          await wait(2_500)
          held = await sent.heldBytes()
          broker.resume()
        },
        { pauseMs: 0, padding: 2_000 },
      )
      await check(sent, 'server hung')
      expect(test.fullTimes).toBeGreaterThan(0)
      console.log(`${name}: held ${(held / 2 ** 20).toFixed(1)} MB with a limit of ${MOST_BYTES / 2 ** 20} MB`)
      // What a client library has copied comes on top.
      expect(held).toBeLessThan(MOST_BYTES * 2)
    })

    it('is slowed down by a slow network, and loses nothing', async () => {
      const sent = traffic()
      proxy.delay(20)
      await sent.send(300)
      await check(sent, '20 ms each way')
    })

    it('loses nothing when the network is cut, with a reset or without a word', async () => {
      const sent = traffic()
      await sent.during(async () => {
        for (let round = 0; round < 5; round++) {
          await wait(200)
          proxy.cut()
        }
        await wait(200)
        proxy.blackHole({ onlyOpen: true })
        await until(() => test.sink.record().state === 'Failing')
        await until(() => test.sink.record().state === 'Flowing')
      })
      await check(sent, 'network cut six times')
    })

    it('goes on by another connection when one takes no more bytes and says nothing', async () => {
      const sent = traffic(20, { mostBytes: 32 * 2 ** 20 })
      await sent.send(1)
      await until(() => test.sink.record().pending === 0)
      proxy.freeze()
      // More than the buffers of both ends hold.
      while (!test.sink.full) await sent.send(1, { padding: 400_000 })
      await until(() => test.sink.record().state === 'Failing')
      await check(sent, 'buffers full')
    })

    it('says that credentials are wrong, and goes on with the right ones', async () => {
      test.setPassword('wrong')
      const sent = traffic()
      await sent.send(10)
      await until(() => test.sink.record().state === 'Unauthorized')
      const { message, pending } = test.sink.record()
      expect(message).toMatch(/credentials.*Secret/)
      expect(message).not.toContain('wrong')
      expect(pending).toBe(200)
      test.setPassword('a password for tests')
      expect((await check(sent, 'wrong credentials')).duplicates).toBe(0)
    })

    it('says that nobody listens', async () => {
      await proxy.refuse()
      const sent = traffic()
      await sent.send(1)
      await until(() => test.sink.record().state === 'Failing')
      expect(test.sink.record().message).toMatch(/could not be reached/)
      await proxy.heal()
      await check(sent, 'server late')
    })
  })

  describe(`the ${name} sink over TLS`, () => {
    let broker: Broker
    let test: SinkUnderTest
    beforeAll(async () => {
      broker = await kind.start({ tls: true })
      await kind.empty(broker)
    })
    afterAll(() => broker?.close())
    beforeEach(() => {
      test = new SinkUnderTest()
    })
    afterEach(() => test.close())

    it('trusts the certificates it is given, and no others', async () => {
      const { usernameFile, passwordFile } = test
      const files = { usernameFile, passwordFile }
      const distrustful = new SinkUnderTest()
      const refused = new Traffic(
        distrustful.open({ ...kind.settings(broker.port, { ...files, tls: {} as never }) }),
        1,
      )
      await refused.send(1)
      await until(() => distrustful.sink.record().state !== 'Flowing')
      expect(distrustful.sink.record().message).toMatch(/SELF_SIGNED|self-signed|certificate/)
      await distrustful.close()
      const sent = new Traffic(test.open(kind.settings(broker.port, { ...files, tls: { caFile: broker.caFile } })))
      await sent.send(50)
      expect(await test.sink.flush(PATIENCE_MS)).toBe(true)
      expect(sent.account(await broker.read())).toEqual({ sent: 1_000, lost: 0, duplicates: 0, overtaken: 0 })
    })
  })
}
