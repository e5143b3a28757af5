/** What values.schema.json says of one value. */
export interface ValueSchema {
  readonly type?: string
  readonly description?: string
  readonly enum?: readonly string[]
  readonly allOf?: readonly { readonly $ref: string }[]
  readonly minimum?: number
  readonly maximum?: number
  readonly properties?: Readonly<Record<string, ValueSchema>>
  readonly definitions?: Readonly<Record<string, ValueSchema>>
}

/** Every value of the chart as a Markdown table: its path, type and limits, default and meaning. */
export function valuesTable(schema: ValueSchema, values: object): string {
  const rows = rowsOf(schema.properties ?? {}, values as Record<string, unknown>, schema.definitions ?? {}, '')
  return ['| value | type | default | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

type Values = Readonly<Record<string, unknown>>
type Definitions = Readonly<Record<string, ValueSchema>>

function rowsOf(properties: Definitions, values: Values, definitions: Definitions, prefix: string): string[] {
  return Object.entries(properties).flatMap(([key, schema]) => {
    const path = prefix + key
    if (schema.properties) return rowsOf(schema.properties, (values[key] ?? {}) as Values, definitions, `${path}.`)
    const standing = values[key] === undefined ? '' : `\`${JSON.stringify(values[key])}\``
    return [`| \`${path}\` | ${typeOf(schema, definitions)} | ${standing} | ${schema.description ?? ''} |`]
  })
}

function typeOf(schema: ValueSchema, definitions: Definitions): string {
  const [reference] = schema.allOf ?? []
  const { type = '' } = reference ? (definitions[reference.$ref.split('/').at(-1) ?? ''] ?? {}) : schema
  const { minimum, maximum } = schema
  if (schema.enum) return schema.enum.join(', ')
  if (minimum === undefined) return type
  return maximum === undefined ? `${type}, from ${minimum}` : `${type}, ${minimum} to ${maximum}`
}
