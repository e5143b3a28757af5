/** `helm lint` of the chart, with the helm of the machine or, where there is none, one built from its Go module. */
import { join } from 'node:path'
import { kitBinaries } from '../test/support/cluster/kit.ts'
import { progressLog } from '../test/support/cluster/progress.ts'
import { onPath, run } from '../test/support/cluster/run.ts'

const log = progressLog('lint')
const helm = (await onPath('helm')) ? 'helm' : join(await kitBinaries(['helm'], log), 'helm')
const chart = join(import.meta.dirname, '..', 'charts', 'shardcluster')
const optional = ['simulator', 'restProxy', 'sampleBot']
const monitoring = ['serviceMonitor', 'workers', 'prometheusRule', 'dashboard'].map((part) => `monitoring.${part}`)
const everything = [...optional, ...monitoring].flatMap((part) => ['--set', `${part}.enabled=true`])
for (const values of [[], everything]) console.log((await run(helm, ['lint', '--strict', chart, ...values])).trim())
