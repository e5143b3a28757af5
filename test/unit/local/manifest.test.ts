import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManifestError, parseManifest, secretValue } from '../../../src/local/manifest.ts'

const SECRET = `apiVersion: v1
kind: Secret
metadata: { name: bot }
stringData: { token: abc.def.ghi }
data: { other: ${Buffer.from('hidden').toString('base64')} }
---
`
const cluster = (spec = '') => `apiVersion: shardcluster.dev/v1alpha1
kind: ShardCluster
metadata: { name: bot }
spec:
  totalShards: 8
  totalWorkers: 2
  tokenSecretRef: { name: bot }
  rest: { baseUrl: http://127.0.0.1:8000 }
  gateway: { intents: [Guilds, 512] }
  events:
    - name: bot
      http: { url: http://127.0.0.1:8090/ }
${spec}`

const refusal = (text: string): string => {
  try {
    parseManifest(text, 'bot.yaml')
  } catch (error) {
    if (error instanceof ManifestError) return error.message
    throw error
  }
  throw new Error('it was not refused')
}

describe('parseManifest', () => {
  it('reads what kubectl apply takes, with the defaults filled in', () => {
    const manifest = parseManifest(SECRET + cluster(), 'bot.yaml')
    const [first] = manifest.clusters
    expect(first?.spec).toMatchObject({
      totalWorkers: 2,
      shardsPerWorker: 500,
      identify: { reserve: 100, windowMilliseconds: 5_000 },
    })
    expect(secretValue(manifest, { name: 'bot', key: 'token' }, 'x')).toBe('abc.def.ghi')
    expect(secretValue(manifest, { name: 'bot', key: 'other' }, 'x')).toBe('hidden')
  })

  it('names file, line and field of what is wrong', () => {
    expect(refusal(cluster().replace('totalWorkers: 2', 'totalWorkers: none'))).toMatch(
      /^bot\.yaml:6: spec\.totalWorkers: /,
    )
    expect(refusal(SECRET + cluster('  totalWokers: 3\n'))).toMatch(/^bot\.yaml:\d+: spec: .*totalWokers/)
    expect(refusal(cluster().replace('[Guilds, 512]', '[Gilds]'))).toMatch(/^bot\.yaml:9: spec\.gateway\.intents\.0: /)
    expect(refusal('a: [')).toMatch(/^bot\.yaml:1: this is not YAML/)
  })

  it('says what would fit where the shards do not', () => {
    expect(refusal(cluster('  shardsPerWorker: 3\n'))).toBe(
      'bot.yaml:5: spec.totalShards: 8 shards do not fit on 2 workers of 3: set totalWorkers to at least 3, or raise shardsPerWorker.',
    )
    expect(refusal(cluster().replace('gateway: {', 'gateway: { shardMultiple: 3,'))).toContain(
      'Set totalShards to 6 or 9.',
    )
  })

  it('refuses what means nothing here, nothing at all, and two of one name', () => {
    expect(refusal('apiVersion: v1\nkind: Pod\nmetadata: { name: a }')).toContain(
      'a document of kind Pod (v1) means nothing here',
    )
    expect(refusal(SECRET)).toContain('there is no ShardCluster')
    expect(refusal(`${cluster()}---\n${cluster()}`)).toContain('there are two ShardClusters named bot')
  })

  it('never shows a secret', () => {
    expect(
      refusal(SECRET.replace('stringData: { token: abc.def.ghi }', 'stringData: { token: [abc.def.ghi] }')),
    ).not.toContain('abc')
  })

  it('says which Secret or key is missing', () => {
    const manifest = parseManifest(SECRET + cluster(), 'bot.yaml')
    expect(() => secretValue(manifest, { name: 'nobody', key: 'token' }, 'spec.tokenSecretRef')).toThrow(
      /spec\.tokenSecretRef names the Secret nobody/,
    )
    expect(() => secretValue(manifest, { name: 'bot', key: 'tok' }, 'spec.tokenSecretRef')).toThrow(
      /names the key tok of the Secret bot/,
    )
  })
})

describe('any text at all', () => {
  const good = SECRET + cluster()
  const piece = fc.oneof(
    fc.constantFrom(
      '&a',
      '*a',
      '<<: *a',
      '---',
      '|',
      '>',
      '{',
      '[',
      '!!binary',
      '\t',
      ': ',
      '? ',
      '__proto__: 1',
      'kind: Secret',
    ),
    fc.string({ maxLength: 8 }),
  )

  it('is a manifest or a ManifestError that names the file, never anything else', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(good.length), piece), { maxLength: 6 }), (changes) => {
        let text = good
        for (const [at, what] of changes) text = text.slice(0, at) + what + text.slice(at)
        try {
          parseManifest(text, 'bot.yaml')
        } catch (error) {
          expect(error, text).toBeInstanceOf(ManifestError)
          expect((error as Error).message).toContain('bot.yaml')
        }
      }),
    )
  })

  it('a bomb of aliases is none', () => {
    const levels = Array.from(
      { length: 12 },
      (_, i) => `a${i}: &a${i} [${Array(10).fill(i === 0 ? 'x' : `*a${i - 1}`)}]`,
    )
    expect(() => parseManifest(levels.join('\n'), 'bot.yaml')).toThrow(ManifestError)
  })
})
