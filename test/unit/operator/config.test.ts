import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../operator/config.ts'
import { NO_HOST_RULES } from './no-host-rules.ts'

const given = { SHARDCLUSTER_WORKER_IMAGE: 'shardcluster:1' }

describe('parseConfig', () => {
  it('needs an image only', () => {
    expect(parseConfig(given)).toEqual({
      namespace: 'default',
      podName: 'operator',
      watchNamespaces: [],
      restHosts: [],
      workerImage: 'shardcluster:1',
      workerImagePullPolicy: undefined,
      httpPort: 8081,
      apiPort: 8083,
      logLevel: 'info',
      leaseName: 'shardcluster-operator',
    })
  })

  it('takes what it is given; an empty variable is none', () => {
    const environment = {
      ...given,
      SHARDCLUSTER_NAMESPACE: '',
      POD_NAME: 'operator-7',
      SHARDCLUSTER_WATCH_NAMESPACES: ' a, b,,',
      SHARDCLUSTER_REST_HOSTS: 'Proxy.bots, .svc,*.example.com,10.0.0.0/8,10.1.2.3,fd00::/8,::1',
      SHARDCLUSTER_WORKER_IMAGE_PULL_POLICY: 'Never',
      SHARDCLUSTER_HTTP_PORT: '0',
      SHARDCLUSTER_LOG_LEVEL: 'debug',
    }
    expect(parseConfig(environment)).toMatchObject({
      namespace: 'default',
      podName: 'operator-7',
      watchNamespaces: ['a', 'b'],
      restHosts: ['proxy.bots', '.svc', '*.example.com', '10.0.0.0/8', '10.1.2.3', 'fd00::/8', '::1'],
      workerImagePullPolicy: 'Never',
      httpPort: 0,
      logLevel: 'debug',
    })
  })

  it.each([
    ['SHARDCLUSTER_WORKER_IMAGE', ''],
    ['SHARDCLUSTER_WORKER_IMAGE_PULL_POLICY', 'Sometimes'],
    ['SHARDCLUSTER_HTTP_PORT', 'http'],
    ['SHARDCLUSTER_HTTP_PORT', '65536'],
    ['SHARDCLUSTER_LOG_LEVEL', 'loud'],
    ...NO_HOST_RULES.map((text): [string, string] => ['SHARDCLUSTER_REST_HOSTS', `good.example,${text}`]),
  ])('names %s when it is %j', (name, value) => {
    expect(() => parseConfig({ ...given, [name]: value })).toThrow(name)
  })
})
