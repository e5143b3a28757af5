import { expect, it } from 'vitest'
import { sinkSchema } from '../../../src/api/sinks.ts'
import { sinkSecrets, sinkSettings } from '../../../src/domain/sink-secrets.ts'

const nats = sinkSchema.parse({
  name: 'fleet',
  exclude: ['PRESENCE_UPDATE'],
  nats: {
    servers: ['tls://nats:4222'],
    usernameSecretRef: { name: 'login' },
    passwordSecretRef: { name: 'login' },
    credentialsSecretRef: { name: 'creds', key: 'bot.creds' },
    tls: { caSecretRef: { name: 'authority' } },
  },
})

it('names every Secret of a sink, with its field and a file', () => {
  expect(sinkSecrets(nats)).toEqual([
    { field: 'nats.usernameSecretRef', ref: { name: 'login', key: 'username' }, file: 'events-fleet-username' },
    { field: 'nats.passwordSecretRef', ref: { name: 'login', key: 'password' }, file: 'events-fleet-password' },
    { field: 'nats.credentialsSecretRef', ref: { name: 'creds', key: 'bot.creds' }, file: 'events-fleet-credentials' },
    { field: 'nats.tls.caSecretRef', ref: { name: 'authority', key: 'ca.crt' }, file: 'events-fleet-ca' },
  ])
})

it('tells a worker the files in their place, and everything else as it is', () => {
  expect(sinkSettings(nats, ({ file }) => `/etc/${file}`)).toEqual({
    name: 'fleet',
    exclude: ['PRESENCE_UPDATE'],
    nats: {
      servers: ['tls://nats:4222'],
      subject: 'discord.{type}.{shard}',
      partitions: 16,
      usernameFile: '/etc/events-fleet-username',
      passwordFile: '/etc/events-fleet-password',
      credentialsFile: '/etc/events-fleet-credentials',
      tls: { caFile: '/etc/events-fleet-ca' },
    },
  })
})

it('needs nothing for a sink without Secrets', () => {
  expect(sinkSecrets(sinkSchema.parse({ name: 'bot', http: { url: 'http://bot/' } }))).toEqual([])
})
