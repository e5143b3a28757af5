import type { SinkSpec } from '../api/sinks.ts'
import { type SinkSettings, sinkSettingsSchema } from '../protocol/sink-settings.ts'

/** A Secret that an entry of `spec.events` names. */
export interface SinkSecret {
  /** Its field in the entry, such as `nats.tls.caSecretRef`. */
  readonly field: string
  readonly ref: { readonly name: string; readonly key: string }
  /** Name of the file that a worker finds it in; no two of a ShardCluster are the same. */
  readonly file: string
}

const SUFFIX = 'SecretRef'

/** The Secrets of an entry, in the order of its fields. */
export function sinkSecrets(sink: SinkSpec): SinkSecret[] {
  const found: SinkSecret[] = []
  withFiles(sink, '', sink.name, (secret) => {
    found.push(secret)
    return ''
  })
  return found
}

/** An entry as a worker is told it; `pathOf` says where a Secret is mounted. */
export function sinkSettings(sink: SinkSpec, pathOf: (secret: SinkSecret) => string): SinkSettings {
  return sinkSettingsSchema.parse(withFiles(sink, '', sink.name, pathOf))
}

/** Whatever is called `<word>SecretRef` becomes `<word>File`: a new kind of sink needs nothing here. */
function withFiles(value: unknown, path: string, sink: string, pathOf: (secret: SinkSecret) => string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, child]) => {
      const field = path === '' ? key : `${path}.${key}`
      if (!key.endsWith(SUFFIX)) return [key, withFiles(child, field, sink, pathOf)]
      const word = key.slice(0, -SUFFIX.length)
      const ref = child as SinkSecret['ref']
      return [`${word}File`, child && pathOf({ field, ref, file: `events-${sink}-${word}` })]
    }),
  )
}
