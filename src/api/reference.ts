import { shardClusterCrd } from './crd.ts'

interface Field {
  readonly path: string
  readonly type: string
  readonly rule: string
  readonly description: string
}

interface Schema {
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly unknown[]
  readonly minimum?: number
  readonly maximum?: number
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly additionalProperties?: Schema
  readonly 'x-kubernetes-int-or-string'?: boolean
}

/** The fields of `spec` or `status` as a Markdown table, from the schema that the API server has. */
export function fieldTable(part: 'spec' | 'status'): string {
  const crd = shardClusterCrd() as unknown as {
    spec: { versions: [{ schema: { openAPIV3Schema: { properties: Record<string, Schema> } } }] }
  }
  const schema = crd.spec.versions[0].schema.openAPIV3Schema.properties[part] ?? {}
  const rows = fieldsOf(schema, part).map(
    ({ path, type, rule, description }) =>
      `| \`${path}\` | ${type} | ${rule} | ${description.replaceAll('|', '\\|')} |`,
  )
  return ['| field | type | default, limits | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

function fieldsOf(schema: Schema, path: string): Field[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const own = `${path}.${name}`
    const required = schema.required?.includes(name) === true
    const row = { path: own, type: typeOf(field), rule: ruleOf(field, required), description: field.description ?? '' }
    if (field.properties) return [row, ...fieldsOf(field, own)]
    return field.items?.properties ? [row, ...fieldsOf(field.items, `${own}[]`)] : [row]
  })
}

function typeOf(field: Schema): string {
  if (field['x-kubernetes-int-or-string']) return 'integer or string'
  if (field.enum) return field.enum.map(String).join(', ')
  if (field.type === 'array') return `list of ${typeOf(field.items ?? {})}`
  if (field.additionalProperties) return `map of ${typeOf(field.additionalProperties)}`
  return field.type ?? 'any'
}

function ruleOf(field: Schema, required: boolean): string {
  const rules: string[] = []
  if (required) rules.push('required')
  if (field.default !== undefined && typeof field.default !== 'object') rules.push(`${field.default}`)
  if (field.type === 'integer' && field.maximum !== undefined && field.maximum < 2 ** 31 - 1)
    rules.push(`${field.minimum ?? 0} to ${field.maximum}`)
  return rules.join('; ')
}
