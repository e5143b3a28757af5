import { Gauge, type Registry } from 'prom-client'
import { VERSION } from './version.ts'

/** A gauge that is always 1 and says by its labels what runs, as Prometheus' own programs do. */
export function registerBuildInfo(registry: Registry, name: string): void {
  new Gauge({
    name,
    help: 'Always 1; the release and the Node that run.',
    labelNames: ['version', 'node'],
    registers: [registry],
  }).set({ version: VERSION, node: process.version }, 1)
}
