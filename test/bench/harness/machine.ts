import { arch, availableParallelism, cpus, loadavg, platform, totalmem } from 'node:os'

/** The machine in one line, without its name. */
export function machine(): string {
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  const cpu = cpus()[0]?.model.trim() || arch()
  return `Node ${process.version}, ${platform()}, ${availableParallelism()} cores (${cpu}), ${memory}`
}

/** How busy the machine was: the load averages of 1 and 5 minutes. */
export const load = (): string =>
  loadavg()
    .slice(0, 2)
    .map((value) => value.toFixed(1))
    .join(' / ')
