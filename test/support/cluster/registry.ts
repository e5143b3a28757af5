import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { run } from './run.ts'

export interface RegistryPassage {
  /** What npm in a build takes as its registry. */
  readonly url: string
  close(): Promise<void>
}

/** Fixed, because the classic builder takes build arguments into the key of a layer: another port, another install. */
const PORT = 4873

/**
 * Lets builds on an engine without a way out install packages: answers at `address` with what this machine's own npm
 * registry says. Read only, and only from that registry.
 */
export async function openRegistryPassage(address: string): Promise<RegistryPassage> {
  const registry = new URL((await run('npm', ['config', 'get', 'registry'])).trim())
  const here = `http://${address}:${PORT}`
  const server = createServer((request, response) => {
    pass(registry, here, request, response).catch((error: unknown) => {
      response.writeHead(502).end(`the npm registry could not be asked: ${String(error)}`)
    })
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(PORT, address, resolve))
  return {
    url: `${here}${registry.pathname}`,
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

async function pass(registry: URL, here: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== 'GET') return void response.writeHead(405).end()
  const path = request.url ?? '/'
  // Resolved against the origin alone, so that a path cannot name another host.
  const target = new URL(registry.origin)
  target.pathname = path.split('?')[0] ?? '/'
  const answer = await fetch(target, { headers: { accept: request.headers.accept ?? '*/*' } })
  const type = answer.headers.get('content-type') ?? 'application/octet-stream'
  const body = Buffer.from(await answer.arrayBuffer())
  response.writeHead(answer.status, { 'content-type': type })
  // A package's description names the registry's own host for its archives.
  response.end(type.includes('json') ? body.toString('utf8').replaceAll(registry.origin, here) : body)
}
