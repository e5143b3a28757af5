import { parentPort, workerData } from 'node:worker_threads'
import { superviseThis } from '../../../../src/support/supervised-port.ts'

/** A thread for tests: it asks, loops, eats memory, throws or ends when it is told to. */
if (!parentPort) throw new Error('this is a thread')
await superviseThis(parentPort, 2, async (main) => {
  const { start } = workerData as { start: string }
  if (start === 'unable') throw Object.assign(new Error('no port for me'), { code: 'EADDRINUSE' })
  return {
    ready: `started ${start}`,
    hear: (told) => {
      if (told === 'loop') for (;;);
      if (told === 'throw') throw new Error('a bug')
      if (told === 'eat') for (const eaten: unknown[] = []; ; ) eaten.push(new Array(10_000).fill(eaten.length))
      if (told === 'ask') void main.ask('how are you?').then((answer) => main.ask({ heard: answer }))
    },
  }
})
