import type { ShardDirectory } from '../manager/shard-directory.ts'

/** A ShardCluster, as the API needs it. */
export interface ApiTarget {
  readonly namespace: string
  readonly name: string
  /** undefined: the ShardCluster names none, and is refused. */
  readonly key: ApiKey | undefined
  /** The bot: Discord's limits per bot are shared by all its ShardClusters. undefined: no manager runs yet. */
  readonly bot: string | undefined
  readonly directory: ShardDirectory | undefined
}

/** Where the key of a ShardCluster is. */
export interface ApiKey {
  /** Tells one reference from another: what was read of one says nothing about the next. */
  readonly id: string
  /** The key as it is now; undefined or empty: there is none. @throws when it cannot be read. */
  read(): Promise<string | undefined>
}

/** The ShardClusters that can be reached. */
export interface ApiSource {
  find(namespace: string, name: string): ApiTarget | undefined
}
