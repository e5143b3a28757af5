import { lookup as dnsLookup, type LookupAddress } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { Agent } from 'undici'
import type { RestWay } from '../src/manager/session-info.ts'

/** What an error of a name that leads to a forbidden address carries. */
export const HOST_NOT_ALLOWED = 'HOST_NOT_ALLOWED'

/** Longer than any connection of a question is needed, in milliseconds: questions come every few minutes. */
const KEEP_ALIVE_MS = 4_000

/**
 * Which hosts the operator asks on behalf of those who write ShardClusters: its place in the network may be better than
 * theirs. `rules`: see OperatorConfig.restHosts. What is checked is the name as it is written, and then the address that
 * is connected to, so that a name which leads elsewhere the next time is no way round. Loopback and link-local addresses
 * (cloud metadata) are asked only where a rule names them as addresses.
 */
export class RestHosts {
  readonly #names: readonly string[]
  readonly #addresses = new BlockList()
  readonly #special = specialAddresses()
  readonly #anywhere: boolean
  readonly #byAddress: boolean

  constructor(rules: readonly string[]) {
    this.#anywhere = rules.length === 0
    const addresses = rules.filter((rule) => isIP(rule.split('/')[0] ?? '') !== 0)
    this.#names = rules.filter((rule) => !addresses.includes(rule)).map((rule) => rule.replace(/^\*\./, '.'))
    this.#byAddress = addresses.length > 0
    for (const rule of addresses) {
      const [address = '', bits] = rule.split('/')
      const family = familyOf(address)
      if (bits === undefined) this.#addresses.addAddress(address, family)
      else this.#addresses.addSubnet(address, Number(bits), family)
    }
  }

  /** Why this host must not be asked, in a sentence; undefined: it may, if its name leads nowhere else. */
  problem(baseUrl: string): string | undefined {
    const host = hostOf(baseUrl)
    if (host === undefined) return 'spec.rest.baseUrl is no URL: correct it.'
    const allowed = isIP(host) ? this.#admits(host, false) : this.#isNamed(host) || this.#byAddress
    return allowed ? undefined : notAllowed(host)
  }

  /** As dns.lookup, for connections: of what the name leads to, only what may be asked. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    const named = this.#isNamed(hostname.toLowerCase())
    dnsLookup(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
      if (error) return callback(error, '', 0)
      const admitted = found.filter(({ address }) => this.#admits(address, named))
      const [first] = admitted
      if (!first) return callback(Object.assign(new Error(HOST_NOT_ALLOWED), { code: HOST_NOT_ALLOWED }), '', 0)
      if (options.all) return callback(null, admitted)
      callback(null, first.address, first.family)
    })
  }

  #isNamed(host: string): boolean {
    return this.#anywhere || this.#names.some((rule) => (rule.startsWith('.') ? host.endsWith(rule) : host === rule))
  }

  #admits(address: string, named: boolean): boolean {
    const family = familyOf(address)
    if (this.#addresses.check(address, family)) return true
    return (named || this.#anywhere) && !this.#special.check(address, family)
  }
}

/** How the operator reaches REST proxies. */
export function restWay(rules: readonly string[]): RestWay & AsyncDisposable {
  const hosts = new RestHosts(rules)
  const dispatcher = new Agent({ connect: { lookup: hosts.lookup, timeout: 5_000 }, keepAliveTimeout: KEEP_ALIVE_MS })
  return {
    dispatcher,
    problem: (baseUrl) => hosts.problem(baseUrl),
    explain: (error, baseUrl) =>
      (error as { readonly code?: unknown }).code === HOST_NOT_ALLOWED ? notAllowed(hostOf(baseUrl) ?? '') : undefined,
    [Symbol.asyncDispose]: () => dispatcher.destroy(),
  }
}

const familyOf = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4')

/** As connections are made to it: lower case, an IPv6 address without brackets, 127.1 and 0x7f000001 spelt out. */
function hostOf(baseUrl: string): string | undefined {
  return URL.parse(baseUrl)?.hostname.replace(/^\[|\]$/g, '')
}

const notAllowed = (host: string): string =>
  `spec.rest.baseUrl names ${host}, which this operator does not ask: loopback and link-local addresses never are, and others only as rest.allowedHosts of its chart says.`

/** https://www.iana.org/assignments/iana-ipv4-special-registry, and the same for IPv6: the host itself, and its link. */
function specialAddresses(): BlockList {
  const list = new BlockList()
  list.addSubnet('0.0.0.0', 8, 'ipv4')
  list.addSubnet('127.0.0.0', 8, 'ipv4')
  list.addSubnet('169.254.0.0', 16, 'ipv4')
  list.addSubnet('224.0.0.0', 3, 'ipv4')
  list.addAddress('::', 'ipv6')
  list.addAddress('::1', 'ipv6')
  list.addSubnet('fe80::', 10, 'ipv6')
  list.addSubnet('ff00::', 8, 'ipv6')
  // The metadata services of AWS (IPv6) and Alibaba: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
  list.addAddress('fd00:ec2::254', 'ipv6')
  list.addAddress('100.100.100.200', 'ipv4')
  return list
}
