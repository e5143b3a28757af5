import { existsSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { clusterFile } from './cache.ts'
import type { Way } from './choose.ts'
import type { ClusterHandle } from './cluster.ts'
import { kitBinaries, kitUp, type Log } from './kit.ts'
import { onPath, run } from './run.ts'

/** What a way needs beyond the handle to create its cluster. */
export interface Ground {
  readonly handle: ClusterHandle
  readonly nodeImage?: string
  readonly apiServerAddress?: string
}

/** Programs, engine and addresses of the way; the kind cluster itself is not created here. */
export function prepareGround(way: Way, name: string, log: Log): Promise<Ground> {
  switch (way.kind) {
    case 'given':
      return givenGround(way.kubeconfig, log)
    case 'docker':
      return dockerGround(name, log)
    case 'kit':
      return kitGround(name, log)
  }
}

async function givenGround(kubeconfig: string, log: Log): Promise<Ground> {
  if (!existsSync(kubeconfig)) throw new Error(`SHARDCLUSTER_TEST_KUBECONFIG names ${kubeconfig}, which does not exist`)
  const kubectl = await programOf('kubectl', log)
  const environment = { KUBECONFIG: kubeconfig }
  const context = (await run(kubectl, ['config', 'current-context'], { env: environment })).trim()
  const isKind = context.startsWith('kind-') && (await onPath('kind')) && (await onPath('docker'))
  const handle: ClusterHandle = {
    name: isKind ? context.slice('kind-'.length) : context,
    way: 'given',
    kubeconfig,
    environment,
    hostAddress: process.env['SHARDCLUSTER_TEST_HOST_ADDRESS'] ?? ownAddress(),
    programs: { kubectl, helm: await programOf('helm', log), ...(isKind ? { kind: 'kind', docker: 'docker' } : {}) },
  }
  return { handle }
}

async function dockerGround(name: string, log: Log): Promise<Ground> {
  const kubeconfig = clusterFile(name, 'kubeconfig')
  const programs = {
    docker: 'docker',
    kind: await programOf('kind', log),
    kubectl: await programOf('kubectl', log),
    helm: await programOf('helm', log),
  }
  const hostAddress = process.env['SHARDCLUSTER_TEST_HOST_ADDRESS'] ?? ownAddress()
  return { handle: { name, way: 'docker', kubeconfig, environment: { KUBECONFIG: kubeconfig }, hostAddress, programs } }
}

async function kitGround(name: string, log: Log): Promise<Ground> {
  const engine = await kitUp(log)
  const kubeconfig = clusterFile(name, 'kubeconfig')
  const bin = (program: string) => join(engine.binaries, program)
  const handle: ClusterHandle = {
    name,
    way: 'kit',
    kubeconfig,
    hostAddress: engine.hostAddress,
    environment: {
      KUBECONFIG: kubeconfig,
      DOCKER_HOST: engine.dockerHost,
      // kind calls "docker" by its name.
      PATH: [join(engine.docker, '..'), engine.binaries, process.env['PATH'] ?? ''].join(':'),
    },
    programs: { docker: engine.docker, kind: bin('kind'), kubectl: bin('kubectl'), helm: bin('helm') },
  }
  return { handle, nodeImage: engine.nodeImage, apiServerAddress: engine.engineAddress }
}

/** The program on PATH, or the one the kit builds from its Go module. */
async function programOf(name: 'kubectl' | 'helm' | 'kind', log: Log): Promise<string> {
  if (await onPath(name)) return name
  log(`there is no ${name} on PATH: building it`)
  return join(await kitBinaries([name], log), name)
}

/** The first address of this machine that is not loopback: pods on a local engine reach it through their gateway. */
function ownAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { family, internal, address } of addresses ?? []) if (family === 'IPv4' && !internal) return address
  }
  throw new Error('this machine has no IPv4 address beside loopback: set SHARDCLUSTER_TEST_HOST_ADDRESS')
}
