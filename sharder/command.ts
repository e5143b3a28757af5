import { Command } from 'commander'

/** `shardcluster sharder`: one worker, told by its environment. */
export function sharderCommand(): Command {
  return new Command('sharder')
    .description('one worker: holds shards, forwards their events (settings come from SHARDCLUSTER_* variables)')
    .action(async () => {
      const { runSharder } = await import('./main.ts')
      await runSharder()
      process.exit(0)
    })
}
