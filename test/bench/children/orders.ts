/** What a benchmark asks a child to do while it runs, by name; `Child.ask` is the other end. */
export type Orders = Readonly<Record<string, (input: never) => unknown>>

/** An order as it crosses the channel. */
export interface Order {
  readonly id: number
  readonly name: string
  readonly input?: unknown
}

/** What became of it: `error` instead of a result. */
export interface Outcome {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

/** Carries out what the benchmark asks for, says that this process is ready, and ends it with the benchmark. */
export function takeOrders(orders: Orders, ready: object = {}): void {
  const all: Orders = { cpu, collect, ...orders }
  process.on('message', (order: Order) => {
    void carryOut(all, order).then((outcome) => process.send?.(outcome))
  })
  endWithBenchmark()
  console.info(JSON.stringify(ready))
}

/** For a child that waits for somebody else before it takes orders: the benchmark may end meanwhile. */
export function endWithBenchmark(): void {
  process.once('SIGTERM', () => process.exit(0))
  process.once('disconnect', () => process.exit(0))
}

async function carryOut(orders: Orders, { id, name, input }: Order): Promise<Outcome> {
  try {
    return { id, result: await orders[name]?.(input as never) }
  } catch (error) {
    return { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

/** Garbage of this process, so that it is not collected while something is timed. Its NODE_OPTIONS must have --expose-gc. */
function collect(): void {
  if (globalThis.gc === undefined) throw new Error('start it with MEASURING_RUNTIME')
  globalThis.gc()
}

/** CPU time of this process so far, in milliseconds. */
function cpu(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}
