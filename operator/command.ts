import { Command } from 'commander'
import { untilSignal } from '../src/support/signals.ts'
import { runOperator } from './main.ts'

/** `shardcluster operator`: configured by its environment, which the chart sets. */
export function operatorCommand(): Command {
  return new Command('operator')
    .description('Run the operator: ShardClusters of the Kubernetes that the kubeconfig or the pod belongs to')
    .action(() => runOperator(process.env, untilSignal()))
}
