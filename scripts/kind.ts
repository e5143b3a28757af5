/** `npm run kind` stands a demo cluster up; `npm run kind -- down` deletes it. */
import { dirname } from 'node:path'
import { type AcquiredCluster, acquireCluster, removeCluster } from '../test/support/cluster/acquire.ts'
import { buildImage } from '../test/support/cluster/image.ts'
import { progressLog } from '../test/support/cluster/progress.ts'
import { applySample, installTrial } from '../test/support/cluster/trial.ts'

const NAME = 'shardcluster-demo'
const log = progressLog('kind')

/** What a step works on. */
interface Demo {
  readonly cluster: AcquiredCluster
  readonly image: string
}

interface Step {
  readonly title: string
  run(demo: Demo): Promise<unknown>
}

/** What happens on the cluster once it runs and has the image, in this order. */
const STEPS: readonly Step[] = [
  {
    title: 'the operator, a simulated Discord, a REST proxy and a sample bot',
    run: ({ cluster, image }) => installTrial(cluster, image),
  },
  { title: 'a sample ShardCluster, until every shard is connected', run: ({ cluster }) => applySample(cluster) },
]

async function up(): Promise<void> {
  const cluster = await acquireCluster({ name: NAME, log, keep: true })
  try {
    const demo = { cluster, image: await buildImage(cluster, { log }) }
    for (const [index, { title, run }] of STEPS.entries()) {
      log(`step ${index + 1} of ${STEPS.length}: ${title}`)
      await run(demo)
    }
    printExports(cluster)
  } finally {
    // The cluster is kept: this hands it on to the next run, or to "down".
    await cluster.dispose()
  }
}

/** On standard output alone, so that `eval "$(npm run --silent kind)"` works. */
function printExports({ kubeconfig, programs }: AcquiredCluster): void {
  console.log(`export KUBECONFIG=${kubeconfig}`)
  if (programs.kubectl.includes('/')) console.log(`export PATH=${dirname(programs.kubectl)}:$PATH`)
}

const [command = 'up'] = process.argv.slice(2)
switch (command) {
  case 'up':
    await up()
    break
  case 'down':
    await removeCluster(NAME, log)
    break
  default:
    console.error(`unknown command "${command}": npm run kind, or npm run kind -- down`)
    process.exitCode = 2
}
