import { BlockList, isIPv6 } from 'node:net'
import { type Rendered, render } from './helm.ts'

/** One end of a connection: a pod, or an address outside of the cluster. */
export interface End {
  readonly address: string
  /** Only of a pod. */
  readonly namespace?: string
  readonly labels?: Readonly<Record<string, string>>
  /** Names of its ports, for rules that say a name. */
  readonly ports?: Readonly<Record<string, number>>
}

interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly matchExpressions?: readonly { key: string; operator: string; values: readonly string[] }[]
}
interface Peer {
  readonly podSelector?: Selector
  readonly namespaceSelector?: Selector
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] }
}
interface Rule {
  readonly ports?: readonly { port: number | string; protocol?: string }[]
  readonly from?: readonly Peer[]
  readonly to?: readonly Peer[]
}
interface Policy {
  readonly podSelector: Selector
  readonly policyTypes: readonly ('Ingress' | 'Egress')[]
  readonly ingress?: readonly Rule[]
  readonly egress?: readonly Rule[]
}

/** How a pod network reads an ipBlock: some take a pod for an address (Calico, kindnet), some do not (Cilium). */
const READINGS = [true, false] as const

/**
 * What the NetworkPolicies of a release admit, by the rules of
 * https://kubernetes.io/docs/concepts/services-networking/network-policies/.
 */
export class Network {
  readonly #objects: readonly Rendered[]

  private constructor(objects: readonly Rendered[]) {
    this.#objects = objects.filter(({ kind }) => kind === 'NetworkPolicy')
  }

  /** Of a release named `shardcluster` in namespace `system`. */
  static async of(values: object): Promise<Network> {
    return new Network(await render(values))
  }

  /** `always` and `never`: in every pod network; `sometimes`: it depends on the pod network, which no rule may. */
  reach(from: End, to: End, port: number, protocol = 'TCP'): 'always' | 'never' | 'sometimes' {
    const [one, two] = READINGS.map((podsAreAddresses) => {
      const asked = { port, protocol, podsAreAddresses }
      return this.#admits('Egress', from, to, asked) && this.#admits('Ingress', to, from, asked)
    })
    if (one !== two) return 'sometimes'
    return one ? 'always' : 'never'
  }

  #admits(type: 'Ingress' | 'Egress', held: End, other: End, asked: Asked): boolean {
    const policies = this.#policiesOf(held).filter(({ spec }) => spec.policyTypes.includes(type))
    if (policies.length === 0) return true
    return policies.some(({ namespace, spec }) =>
      (type === 'Ingress' ? spec.ingress : spec.egress)?.some((rule) => {
        const peers = type === 'Ingress' ? rule.from : rule.to
        const named = type === 'Ingress' ? held.ports : other.ports
        return portsOf(rule, named, asked) && (!peers || peers.some((peer) => isPeer(peer, other, namespace, asked)))
      }),
    )
  }

  #policiesOf(pod: End): { namespace: string; spec: Policy }[] {
    if (pod.namespace === undefined) return []
    return this.#objects
      .map(({ metadata, spec }) => ({ namespace: metadata.namespace ?? '', spec: spec as unknown as Policy }))
      .filter(({ namespace, spec }) => namespace === pod.namespace && selects(spec.podSelector, pod.labels ?? {}))
  }
}

interface Asked {
  readonly port: number
  readonly protocol: string
  readonly podsAreAddresses: boolean
}

function portsOf({ ports }: Rule, named: End['ports'] = {}, { port, protocol }: Asked): boolean {
  if (!ports) return true
  return ports.some((each) => {
    const number = typeof each.port === 'string' ? named[each.port] : each.port
    return number === port && (each.protocol ?? 'TCP') === protocol
  })
}

function isPeer(peer: Peer, other: End, policyNamespace: string, { podsAreAddresses }: Asked): boolean {
  if (peer.ipBlock) {
    if (other.namespace !== undefined && !podsAreAddresses) return false
    return inside(peer.ipBlock.cidr, other.address) && !peer.ipBlock.except?.some((cidr) => inside(cidr, other.address))
  }
  if (other.namespace === undefined) return false
  const there = peer.namespaceSelector
    ? selects(peer.namespaceSelector, { 'kubernetes.io/metadata.name': other.namespace, name: other.namespace })
    : other.namespace === policyNamespace
  return there && selects(peer.podSelector ?? {}, other.labels ?? {})
}

function selects({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Readonly<Record<string, string>>) {
  const exact = Object.entries(matchLabels).every(([key, value]) => labels[key] === value)
  return (
    exact &&
    matchExpressions.every(({ key, operator, values }) => {
      if (operator !== 'In') throw new Error(`an operator that this test does not know: ${operator}`)
      return values.includes(labels[key] ?? '')
    })
  )
}

function inside(cidr: string, address: string): boolean {
  const [network = '', bits] = cidr.split('/')
  const family = (text: string) => (isIPv6(text) ? 'ipv6' : 'ipv4')
  if (family(network) !== family(address)) return false
  const list = new BlockList()
  list.addSubnet(network, Number(bits), family(network))
  return list.check(address, family(address))
}
