/** What z.toJSONSchema makes of a schema, as far as bounds are concerned. */
export interface Node {
  readonly type?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly maxItems?: number
  readonly minItems?: number
  readonly items?: Node
  readonly properties?: Readonly<Record<string, Node>>
  readonly additionalProperties?: Node | boolean
  readonly propertyNames?: Node
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly anyOf?: readonly Node[]
  readonly oneOf?: readonly Node[]
}

const variants = ({ anyOf, oneOf }: Node): readonly Node[] | undefined => anyOf ?? oneOf

/** Where a bound is missing: `path: what`. Paths in `without` have their bounds elsewhere. */
export function unbounded(node: Node, without: readonly string[] = [], path = ''): string[] {
  if (without.includes(path) || node.const !== undefined || node.enum) return []
  const below = (child: Node, key: string) => unbounded(child, without, path === '' ? key : `${path}.${key}`)
  const inner = [
    ...(variants(node)?.flatMap((child) => unbounded(child, without, path)) ?? []),
    ...Object.entries(node.properties ?? {}).flatMap(([key, child]) => below(child, key)),
    ...(node.items ? below(node.items, '*') : []),
  ]
  return [...missing(node).map((what) => `${path}: ${what}`), ...inner]
}

function missing({ type, ...node }: Node): string[] {
  switch (type) {
    case 'number':
    case 'integer':
      return [
        ...(node.minimum === undefined || node.minimum <= Number.MIN_SAFE_INTEGER ? ['no minimum'] : []),
        // z.int() has this one by itself.
        ...(node.maximum === undefined || node.maximum >= Number.MAX_SAFE_INTEGER ? ['no maximum'] : []),
      ]
    case 'string':
      return node.maxLength === undefined ? ['no maximum length'] : []
    case 'array':
      return node.maxItems === undefined ? ['no maximum of items'] : []
    case 'object':
      return node.additionalProperties ? ['any number of keys'] : []
    case 'boolean':
    case 'null':
      return []
    default:
      return variants({ ...node }) ? [] : ['anything at all']
  }
}

/** The value with every number, text and list at its bound; lists have two items at most, of which there may be thousands. */
export function extreme(node: Node, which: 'smallest' | 'largest', variant = 0): unknown {
  const of = variants(node)
  if (of) return extreme(of[variant % of.length] as Node, which, variant)
  if (node.const !== undefined) return node.const
  if (node.enum) return node.enum[which === 'smallest' ? 0 : node.enum.length - 1]
  switch (node.type) {
    case 'number':
    case 'integer':
      return which === 'smallest' ? node.minimum : node.maximum
    case 'string':
      return 'x'.repeat((which === 'smallest' ? node.minLength : node.maxLength) ?? 0)
    case 'array': {
      const count = which === 'smallest' ? (node.minItems ?? 0) : Math.min(2, node.maxItems ?? 2)
      return Array.from({ length: count }, () => extreme(node.items ?? {}, which, variant))
    }
    case 'object':
      return Object.fromEntries(
        Object.entries(node.properties ?? {}).map(([key, child]) => [key, extreme(child, which, variant)]),
      )
    case 'boolean':
      return which === 'largest'
    default:
      return null
  }
}

/** How many values there are beside one another, so that each is seen once. */
export const variantsOf = (node: Node): number => variants(node)?.length ?? 1
