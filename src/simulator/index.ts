/** A Discord that enforces Discord's rules. */

export { simulatorCommand } from './command.ts'
export type { ControlCommand, ControlInput, ControlResult } from './control.ts'
export { fakeToken, type SimulatorOptions } from './options.ts'
export { type Simulator, startSimulator } from './simulator.ts'
export type { BotStats, ShardStats, SimulatorStats } from './stats.ts'
