import type { Clock } from '../support/clock.ts'
import type { Logger } from '../support/logger.ts'
import type { LaneMember } from './lane-member.ts'
import type { ManagerMetrics } from './metrics.ts'
import type { SessionStore } from './ports.ts'

export interface ManagerOptions {
  /** `namespace/name`. */
  readonly cluster: string
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly lane: LaneMember
  /** The leader's term: its epochs are newer than those of all before it. */
  readonly term: number
  /** Numbers the term's commands; shared by managers that follow one another on the same workers. Default: its own. */
  readonly count?: () => number
  readonly metrics: ManagerMetrics
  /** Where sessions outlive everything; none: they do not. */
  readonly store?: SessionStore
  /** The fleet changed. Called often; the callee gathers. */
  readonly onChange: () => void
}
