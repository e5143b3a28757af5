import type { WorkerPort } from '../manager/ports.ts'

/** A worker whose process may be another tomorrow: what a pod's address is in Kubernetes. */
export class MovingPort implements WorkerPort {
  #now: WorkerPort

  constructor(first: WorkerPort) {
    this.#now = first
  }

  /** Another process took over, behind another port. */
  moveTo(port: WorkerPort): void {
    this.#now = port
  }

  readonly identify: WorkerPort['identify'] = (...args) => this.#now.identify(...args)
  readonly assign: WorkerPort['assign'] = (...args) => this.#now.assign(...args)
  readonly release: WorkerPort['release'] = (...args) => this.#now.release(...args)
  readonly send: WorkerPort['send'] = (...args) => this.#now.send(...args)
  readonly watch: WorkerPort['watch'] = (...args) => this.#now.watch(...args)
}
