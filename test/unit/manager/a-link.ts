import { pino } from 'pino'
import type { WorkerPort } from '../../../src/manager/ports.ts'
import { WorkerLink } from '../../../src/manager/worker-link.ts'
import type { Session } from '../../../src/protocol/session.ts'
import type { ShardRecord, Snapshot } from '../../../src/protocol/state.ts'
import type { Clock } from '../../../src/support/clock.ts'

export const aSession = (shardId: number, more: Partial<Session> = {}): Session => ({
  ...{ shardId, sessionId: `s${shardId}`, resumeGatewayUrl: 'wss://g' },
  ...{ sequence: 1, totalShards: 10, lastContactMsAgo: 0 },
  ...more,
})

export const aRecord = (shardId: number, more: Partial<ShardRecord> = {}): ShardRecord => ({
  ...{ shardId, state: 'Connected', identifies: 1, resumes: 0, recovering: true },
  ...more,
})

export const aSnapshot = (shards: readonly ShardRecord[], more: Partial<Snapshot> = {}): Snapshot => ({
  ...{ type: 'SNAPSHOT', workerId: 0, bootId: 'a', epoch: 0, draining: false, sinks: [], sessions: [] },
  shards: [...shards],
  ...more,
})

/** A worker that answers nothing but what `more` does; a test shows its view what it says. Stop it at the end. */
export function aLink(
  ordinal: number,
  clock: Clock,
  shards: readonly ShardRecord[] = [],
  more: Partial<WorkerPort> = {},
): WorkerLink {
  const nobody = () => Promise.reject(new Error('not asked here'))
  const port: WorkerPort = {
    ...{ identify: nobody, assign: nobody, release: nobody, send: nobody },
    watch: (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
      }),
    ...more,
  }
  const link = new WorkerLink({
    ...{ clock, random: () => 1, logger: pino({ level: 'silent' }), onChange: () => {} },
    ref: { ordinal, uid: `u${ordinal}`, name: `bot-10-${ordinal}`, port },
  })
  if (shards.length > 0) link.view.apply(aSnapshot(shards, { workerId: ordinal }), clock.now())
  return link
}
