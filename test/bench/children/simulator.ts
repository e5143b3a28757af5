// The simulated Discord as a process: its options are the first argument, as JSON.
import type { SimulatorOptions } from '../../../src/simulator/options.ts'
import { startSimulator } from '../../../src/simulator/simulator.ts'
import { takeOrders } from './orders.ts'

const simulator = await startSimulator(JSON.parse(process.argv[2] ?? '{}') as SimulatorOptions)
takeOrders({}, { url: simulator.url, gatewayUrl: simulator.gatewayUrl })
