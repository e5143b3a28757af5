import { describe, expect, it } from 'vitest'
import { keySecret } from '../../../operator/manifests/key-secret.ts'
import { labelsOf, selectorOf, selectorText } from '../../../operator/manifests/names.ts'
import { type PodDefaults, type podTemplate, servesTls } from '../../../operator/manifests/pod.ts'
import { podDisruptionBudget } from '../../../operator/manifests/pod-disruption-budget.ts'
import { service } from '../../../operator/manifests/service.ts'
import { statefulSet } from '../../../operator/manifests/stateful-set.ts'
import { decide } from '../../../operator/reconcile/decide.ts'
import { MAX_NAME_LENGTH } from '../../../src/api/shard-cluster.ts'
import { MAX_SHARDS } from '../../../src/limits.ts'
import { parseWorkerEnvironment, WORKER_RUNTIME } from '../../../src/protocol/worker-settings.ts'
import { cluster, KEY, observed, pod, REST_AUTHORIZATION, TOKEN, TRUST } from './world.ts'

const defaults: PodDefaults = { image: 'shardcluster:1.0', imagePullPolicy: 'IfNotPresent' }
const setOf = (change = {}, replicas = 2) => statefulSet(cluster(change), 8, replicas, defaults)
const containerOf = (template: ReturnType<typeof podTemplate>) => {
  const [container] = template.spec.containers
  if (!container) throw new Error('no container')
  return container
}
const template = (change = {}) => setOf(change).spec.template

describe('the pods of the workers', () => {
  it('meet Pod Security "restricted"', () => {
    const { spec } = template()
    expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
    for (const { securityContext } of spec.containers)
      expect(securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
    const allowed = new Set(['projected', 'emptyDir', 'configMap', 'secret', 'downwardAPI'])
    for (const { name: _, ...source } of spec.volumes)
      expect(Object.keys(source).every((kind) => allowed.has(kind))).toBe(true)
    expect(spec).not.toHaveProperty('hostNetwork')
    expect(spec.automountServiceAccountToken).toBe(false)
  })

  it('find every secret in a file, and the rest in their environment', () => {
    const container = containerOf(template())
    const environment = Object.fromEntries(container.env.map((one) => [one['name'], 'value' in one ? one.value : '']))
    const settings = parseWorkerEnvironment({ ...environment, POD_NAME: 'bot-8-1' } as Record<string, string>)
    const mounted = container.volumeMounts.find(({ name }) => name === 'secrets')?.mountPath
    const sources = template().spec.volumes[0]?.projected?.sources ?? []
    const files = sources.flatMap(({ secret }) =>
      secret.items.map(({ key, path }) => [`${mounted}/${path}`, `${secret.name}.${key}`]),
    )
    expect(Object.fromEntries(files)).toEqual({
      [settings.tokenFile]: 'bot.token',
      [settings.authorizationFile]: 'bot-sharder-key.authorization',
      [String(settings.tls?.certificateFile)]: 'bot-sharder-tls.tls.crt',
      [String(settings.tls?.keyFile)]: 'bot-sharder-tls.tls.key',
      [String(settings.sinks[0]?.http?.authorizationFile)]: 'bot.events-authorization',
    })
    expect(settings).toMatchObject({
      workerId: 1,
      port: 8080,
      sinks: [{ name: 'bot', http: { url: 'http://bot:8080/' } }],
    })
  })

  it("serve TLS where the image is the operator's own or somebody says that it can, and their volume is what tells", () => {
    const served = (worker?: object) => {
      const { spec } = template(worker && { worker })
      const environment = Object.fromEntries(
        containerOf(template(worker && { worker })).env.map((one) => [one['name'], '']),
      )
      const tells = servesTls({ ...pod(0), spec }, cluster())
      expect('SHARDCLUSTER_TLS_CERTIFICATE_FILE' in environment).toBe(tells)
      return tells
    }
    expect(served()).toBe(true)
    expect(served({ tls: false })).toBe(false)
    expect(served({ image: 'mine:1' })).toBe(false)
    expect(served({ image: 'mine:1', tls: true })).toBe(true)
    // A pod of the release before mounts no certificate, and an annotation is nothing that only the operator can write.
    expect(servesTls(pod(0), cluster())).toBe(false)
    expect(served({ tls: false, podAnnotations: { 'shardcluster.dev/tls': 'true' } })).toBe(false)
    // Another ShardCluster's certificate is none of its own.
    const other = cluster()
    other.metadata.name = 'other'
    expect(servesTls({ ...pod(0), spec: template().spec }, other)).toBe(false)
  })

  it('never take half of what TLS needs for none of it', () => {
    const { env } = containerOf(template())
    const environment = Object.fromEntries(env.map((one) => [one['name'], 'value' in one ? one.value : 'bot-8-1']))
    for (const name of ['SHARDCLUSTER_TLS_CERTIFICATE_FILE', 'SHARDCLUSTER_TLS_KEY_FILE']) {
      const { [name]: _, ...half } = environment
      expect(() => parseWorkerEnvironment(half as Record<string, string>)).toThrow('SHARDCLUSTER_TLS_KEY_FILE')
    }
  })

  it('find the credentials of brokers in files, and none of them in their environment', () => {
    const secretRef = (name: string) => ({ usernameSecretRef: { name }, passwordSecretRef: { name } })
    const events = [
      { name: 'n', nats: { servers: ['nats://n'], ...secretRef('nats'), tls: { caSecretRef: { name: 'authority' } } } },
      { name: 'r', redis: { url: 'redis://r', ...secretRef('redis') } },
      { name: 'q', exclude: ['TYPING_START'], rabbitmq: { url: 'amqp://q', ...secretRef('rabbitmq') } },
    ]
    const { env } = containerOf(template({ events }))
    const environment = Object.fromEntries(env.map((one) => [one['name'], 'value' in one ? one.value : '']))
    const { sinks } = parseWorkerEnvironment({ ...environment, POD_NAME: 'bot-8-1' } as Record<string, string>)
    const mounted = template({ events }).spec.volumes[0]?.projected?.sources.flatMap(({ secret }) =>
      secret.items.map(({ key, path }) => `${secret.name}.${key} at ${path}`),
    )
    expect(mounted?.slice(4)).toEqual([
      'nats.username at events-n-username',
      'nats.password at events-n-password',
      'authority.ca.crt at events-n-ca',
      'redis.username at events-r-username',
      'redis.password at events-r-password',
      'rabbitmq.username at events-q-username',
      'rabbitmq.password at events-q-password',
    ])
    expect(sinks[0]?.nats?.tls?.caFile).toBe('/etc/shardcluster/events-n-ca')
    expect(sinks[2]).toMatchObject({ exclude: ['TYPING_START'], rabbitmq: { exchange: 'discord', unroutable: 'Keep' } })
  })

  it('mount nothing for a sink that wants no key', () => {
    const bare = { events: [{ name: 'bot', http: { url: 'http://bot/' } }] }
    expect(JSON.stringify(template(bare))).not.toContain('events-')
  })

  it('have each variable once: theirs instead of ours, in their order; Node’s options are added to ours', () => {
    const last = { name: 'TZ', value: 'UTC' }
    const fromMap = { name: 'NODE_OPTIONS', valueFrom: { configMapKeyRef: { name: 'node', key: 'options' } } }
    const theirs = [
      { name: 'NODE_OPTIONS', value: '--max-old-space-size=4096' },
      { name: 'TZ', value: 'CET' },
      { name: 'MALLOC_ARENA_MAX', value: '2' },
      last,
    ]
    const env = containerOf(template({ worker: { env: theirs } })).env as { name: string; value?: string }[]
    expect(new Set(env.map(({ name }) => name)).size).toBe(env.length)
    expect(env.slice(-3)).toEqual([
      { name: 'NODE_OPTIONS', value: `${WORKER_RUNTIME.NODE_OPTIONS} --max-old-space-size=4096` },
      { name: 'MALLOC_ARENA_MAX', value: '2' },
      last,
    ])
    expect(containerOf(template({ worker: { env: [fromMap] } })).env.at(-1)).toEqual(fromMap)
    expect(containerOf(template()).env).toContainEqual({ name: 'NODE_OPTIONS', value: WORKER_RUNTIME.NODE_OPTIONS })
  })

  it('say nothing of the number of workers: scaling restarts none', () => {
    expect(setOf({ totalWorkers: 7 }).spec.template).toEqual(setOf({ totalWorkers: 2 }).spec.template)
    const { replicas: few, ...before } = setOf({}, 2).spec
    const { replicas: many, ...after } = setOf({}, 9).spec
    expect([few, many]).toEqual([2, 9])
    expect(after).toEqual(before)
  })

  it('take scheduling, resources and additions as they are written, but keep what selects them', () => {
    const worker = {
      image: 'other:2',
      nodeSelector: { disk: 'ssd' },
      tolerations: [{ key: 'bots', operator: 'Exists' }],
      priorityClassName: 'high',
      resources: { requests: { cpu: '1' } },
      podLabels: { team: 'a', 'shardcluster.dev/cluster': 'stolen', 'shardcluster.dev/total-shards': '1' },
      podAnnotations: { 'prometheus.io/scrape': 'false' },
      terminationGracePeriodSeconds: 90,
    }
    const { metadata, spec } = template({ worker })
    expect(spec).toMatchObject({
      nodeSelector: { disk: 'ssd' },
      tolerations: [{ key: 'bots', operator: 'Exists' }],
      priorityClassName: 'high',
      terminationGracePeriodSeconds: 90,
    })
    expect(containerOf({ metadata, spec })).toMatchObject({ image: 'other:2', resources: { requests: { cpu: '1' } } })
    // The pull policy was meant for the operator's own image.
    expect(containerOf({ metadata, spec })).not.toHaveProperty('imagePullPolicy')
    expect(metadata.labels).toMatchObject({
      team: 'a',
      'shardcluster.dev/cluster': 'bot',
      'shardcluster.dev/total-shards': '8',
    })
    expect(metadata.annotations).toMatchObject({ 'prometheus.io/scrape': 'false' })
  })

  it("run the operator's image and pull policy by default", () => {
    expect(containerOf(template())).toMatchObject({ image: 'shardcluster:1.0', imagePullPolicy: 'IfNotPresent' })
  })
})

describe('the children', () => {
  const all = [keySecret(cluster(), { current: KEY }), service(cluster()), podDisruptionBudget(cluster()), setOf()]

  it('belong to the ShardCluster, and bear its labels', () => {
    for (const { metadata } of all) {
      expect(metadata.namespace).toBe('prod')
      expect(metadata.labels).toMatchObject(labelsOf(cluster()))
      expect(metadata.ownerReferences).toEqual([
        {
          apiVersion: 'shardcluster.dev/v1alpha1',
          kind: 'ShardCluster',
          name: 'bot',
          uid: 'uid-of-bot',
          controller: true,
          blockOwnerDeletion: true,
        },
      ])
    }
    expect(all.map(({ metadata }) => metadata.name)).toEqual([
      'bot-sharder-key',
      'bot-sharders',
      'bot-sharders',
      'bot-8',
    ])
  })

  it('select its pods, and no others', () => {
    const labels = template().metadata.labels
    expect(labels).toMatchObject(setOf().spec.selector.matchLabels)
    expect(labels).toMatchObject(service(cluster()).spec.selector)
    expect(labels).toMatchObject(podDisruptionBudget(cluster()).spec.selector.matchLabels)
    expect(setOf().spec.selector.matchLabels).not.toEqual(
      statefulSet(cluster(), 16, 2, defaults).spec.selector.matchLabels,
    )
    expect(setOf().spec.serviceName).toBe(service(cluster()).metadata.name)
    expect(selectorText(selectorOf(cluster()))).toBe('app.kubernetes.io/component=sharder,shardcluster.dev/cluster=bot')
  })

  it('are made so that pods are replaced by decision only, and drained one by one', () => {
    expect(setOf().spec).toMatchObject({ podManagementPolicy: 'Parallel', updateStrategy: { type: 'OnDelete' } })
    expect(service(cluster()).spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true })
    expect(podDisruptionBudget(cluster()).spec).toMatchObject({
      maxUnavailable: 1,
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    })
  })

  it('hold no secret but in their Secrets, and a status holds none at all', () => {
    const { apply, status, events } = decide(observed())
    expect(apply.map(({ resource, manifest }) => `${resource.kind} ${manifest.metadata.name}`)).toEqual([
      'Secret bot-sharder-key',
      'Secret bot-sharder-ca',
      'Secret bot-sharder-tls',
      'Service bot-sharders',
      'PodDisruptionBudget bot-sharders',
      'StatefulSet bot-8',
    ])
    const [secret, authority, tls, ...others] = apply
    // Base64 of a whole key is found as it is written into a Secret; one line of it wherever it is not.
    const written = (key: string) => Buffer.from(key).toString('base64')
    for (const { privateKey } of [TRUST.authority, TRUST.serving])
      for (const text of [written(privateKey), privateKey.split('\n')[1]])
        expect(JSON.stringify({ others, status, events })).not.toContain(text)
    expect(JSON.stringify(authority)).toContain(written(TRUST.authority.privateKey))
    expect(JSON.stringify(tls)).toContain(written(TRUST.serving.privateKey))
    expect(JSON.stringify(tls)).not.toContain(written(TRUST.authority.privateKey))
    expect(secret?.manifest).toMatchObject({ data: { authorization: Buffer.from(KEY).toString('base64') } })
    for (const value of [TOKEN, REST_AUTHORIZATION, KEY]) {
      for (const text of [value, Buffer.from(value).toString('base64')])
        expect(JSON.stringify({ others, status, events })).not.toContain(text)
    }
    expect(JSON.stringify(secret)).not.toContain(TOKEN)
  })

  it('have names that fit, however long the name and the number of shards', () => {
    const long = cluster()
    long.metadata.name = 'n'.repeat(MAX_NAME_LENGTH)
    const { metadata } = statefulSet(long, MAX_SHARDS, 1, defaults)
    // The StatefulSet controller labels pods with <name>-<hash of 10>, and a label value has 63 characters.
    expect(`${metadata.name}-0123456789`.length).toBeLessThanOrEqual(63)
    expect(`${metadata.name}-999`.length).toBeLessThanOrEqual(63)
    expect(service(long).metadata.name.length).toBeLessThanOrEqual(63)
  })

  it('are not made for a ShardCluster that was not read from an API server', () => {
    const { uid: _, ...metadata } = cluster().metadata
    expect(() => service({ ...cluster(), metadata })).toThrow('has no uid')
  })
})
