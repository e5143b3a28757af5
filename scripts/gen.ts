/**
 * Writes what is generated, mostly from src/api: the CRD for `kubectl apply -f crds/`, the chart's copy of it, the table
 * of fields in the documentation, and the README's manifest; from src/bot-api the description of the bot API. `--check`
 * writes nothing and fails when a file is not what it would write.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { stringify } from 'yaml'
import { shardClusterCrd } from '../src/api/crd.ts'
import { fieldTable } from '../src/api/reference.ts'
import { API_ERRORS } from '../src/bot-api/errors.ts'
import { openApiDocument } from '../src/bot-api/openapi.ts'

const HEADER = '# Generated from src/api by `npm run gen`. Do not edit.\n'
const crd = HEADER + stringify(shardClusterCrd(), { lineWidth: 0, aliasDuplicateObjects: false })

const openApi = stringify(openApiDocument(), { lineWidth: 0, aliasDuplicateObjects: false })

const read = (path: string) => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** Replaces what stands between the markers `<!-- name -->` and `<!-- /name -->`. */
function between(path: string, name: string, content: string): string {
  const text = read(path)
  const [before, rest] = text.split(`<!-- ${name} -->\n`)
  const after = rest?.split(`<!-- /${name} -->`)[1]
  if (after === undefined) throw new Error(`${path} has no section <!-- ${name} --> ... <!-- /${name} -->`)
  return `${before}<!-- ${name} -->\n${content}\n<!-- /${name} -->${after}`
}

/** How the bot API refuses, as a table. */
function codeTable(): string {
  const rows = Object.entries(API_ERRORS).map(([code, { status, about }]) => `| \`${code}\` | ${status} | ${about} |`)
  return ['| code | status | what it means |', '| --- | --- | --- |', ...rows].join('\n')
}

const files: Record<string, string> = {
  'crds/shardcluster.yaml': crd,
  // A plain file that a template reads, so that Helm upgrades it (it never upgrades what lies in a chart's crds/).
  'charts/shardcluster/files/shardcluster-crd.yaml': crd,
  'docs/openapi.yaml': `# Generated from src/bot-api by \`npm run gen\`. Do not edit.\n${openApi}`,
  'docs/bot-api.md': between('docs/bot-api.md', 'codes', codeTable()),
  'README.md': between('README.md', 'minimal', `\`\`\`yaml\n${read('crds/samples/minimal.yaml').trim()}\n\`\`\``),
  'docs/api-reference.md': `# ShardCluster, field by field\n\nGenerated from \`src/api\` by \`npm run gen\`; \`kubectl explain shc.spec --recursive\` says the same.\n\n## spec\n\n${fieldTable('spec')}\n\n## status\n\n${fieldTable('status')}\n`,
}

let stale = 0
for (const [path, content] of Object.entries(files)) {
  if (read(path) === content) continue
  stale++
  if (process.argv.includes('--check')) {
    console.error(`${path} is not what src says: run "npm run gen" and commit the result`)
    continue
  }
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  console.log(`wrote ${path}`)
}
if (stale > 0 && process.argv.includes('--check')) process.exit(1)
