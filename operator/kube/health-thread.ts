import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../src/support/clock.ts'
import { superviseThis } from '../../src/support/supervised-port.ts'
import type { HealthAnswer, HealthThreadData } from './health.ts'
import { listenForProbes } from './probe-server.ts'

/** Entry of the thread that serves probes and metrics. */
if (parentPort)
  await superviseThis(parentPort, 16, async (main) => {
    const ask = (question: string) => main.ask(question) as Promise<HealthAnswer>
    return { ready: await listenForProbes(workerData as HealthThreadData, { clock: systemClock, ask }) }
  })
