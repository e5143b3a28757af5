// The simulated Discord as a process: its options are the first argument, as JSON.
import type { SimulatorOptions } from '../../../src/simulator/options.ts'
import { startSimulator } from '../../../src/simulator/simulator.ts'

const simulator = await startSimulator(JSON.parse(process.argv[2] ?? '{}') as SimulatorOptions)
process.once('SIGTERM', () => process.exit(0))
process.once('disconnect', () => process.exit(0))
console.info(JSON.stringify({ url: simulator.url, gatewayUrl: simulator.gatewayUrl }))
