import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** controller-runtime's buckets (pkg/internal/controller/metrics), in seconds, so that its dashboards fit. */
const RECONCILE_BUCKETS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2,
  2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
]
const QUEUE_BUCKETS = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10]
const REQUEST_BUCKETS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60]

/** `result` of controller_runtime_reconcile_total. */
export const RECONCILE_RESULTS = ['success', 'error', 'requeue', 'requeue_after'] as const

/**
 * The metrics of the runtime, under the names controller-runtime and client-go use, so that stock dashboards and
 * alerts work. One instance per registry: a second one would be refused by prom-client.
 */
export type KubeMetrics = ReturnType<typeof createKubeMetrics>

export function createKubeMetrics(registry: Registry) {
  /** Called whenever the metrics are read, to bring gauges that grow with time up to date. */
  const collectors = new Set<() => void>()
  return {
    collectors,
    ...controllerMetrics([registry]),
    ...queueMetrics([registry], collectors),
    ...clientMetrics([registry]),
  }
}

function controllerMetrics(registers: Registry[]) {
  const labelNames = ['controller'] as const
  const counter = (name: string, help: string) => new Counter({ name, help, labelNames, registers })
  const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames, registers })
  return {
    reconcileTotal: new Counter({
      name: 'controller_runtime_reconcile_total',
      help: 'Reconciliations per controller and result',
      labelNames: ['controller', 'result'],
      registers,
    }),
    reconcileErrors: counter('controller_runtime_reconcile_errors_total', 'Reconciliations that threw'),
    terminalErrors: counter('controller_runtime_terminal_reconcile_errors_total', 'Errors that are not retried'),
    reconcilePanics: counter('controller_runtime_reconcile_panics_total', 'Reconciliations that met a bug of ours'),
    reconcileTimeouts: counter('controller_runtime_reconcile_timeouts_total', 'Reconciliations over their time limit'),
    reconcileTime: new Histogram({
      name: 'controller_runtime_reconcile_time_seconds',
      help: 'Duration of a reconciliation',
      labelNames,
      buckets: RECONCILE_BUCKETS,
      registers,
    }),
    maxConcurrentReconciles: gauge('controller_runtime_max_concurrent_reconciles', 'Workers of a controller'),
    activeWorkers: gauge('controller_runtime_active_workers', 'Workers that are reconciling now'),
  }
}

function queueMetrics(registers: Registry[], collectors: ReadonlySet<() => void>) {
  const labelNames = ['name'] as const
  const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames, registers })
  const histogram = (name: string, help: string) =>
    new Histogram({ name, help, labelNames, buckets: QUEUE_BUCKETS, registers })
  return {
    queueDepth: gauge('workqueue_depth', 'Keys that wait for a worker'),
    queueAdds: new Counter({ name: 'workqueue_adds_total', help: 'Keys added', labelNames, registers }),
    queueRetries: new Counter({ name: 'workqueue_retries_total', help: 'Keys retried', labelNames, registers }),
    queueDuration: histogram('workqueue_queue_duration_seconds', 'How long a key waits for a worker'),
    workDuration: histogram('workqueue_work_duration_seconds', 'How long a worker holds a key'),
    unfinishedWork: new Gauge({
      name: 'workqueue_unfinished_work_seconds',
      help: 'Sum of the ages of the work in progress',
      labelNames,
      registers,
      collect: () => {
        for (const collector of collectors) collector()
      },
    }),
    longestRunning: gauge('workqueue_longest_running_processor_seconds', 'Age of the oldest work in progress'),
  }
}

function clientMetrics(registers: Registry[]) {
  const resource = ['resource'] as const
  const counter = (name: string, help: string) => new Counter({ name, help, labelNames: resource, registers })
  return {
    requests: new Counter({
      name: 'rest_client_requests_total',
      help: 'Calls to the API server by status code (<error>: no answer)',
      labelNames: ['code', 'method', 'host'],
      registers,
    }),
    requestDuration: new Histogram({
      name: 'rest_client_request_duration_seconds',
      help: 'Time until the answer of a call, watches: until they are open',
      labelNames: ['verb', 'host'],
      buckets: REQUEST_BUCKETS,
      registers,
    }),
    leader: new Gauge({
      name: 'leader_election_master_status',
      help: '1 while this process leads, else 0',
      labelNames: ['name'],
      registers,
    }),
    lists: counter('reflector_lists_total', 'Full lists a reflector made'),
    watches: counter('reflector_watches_total', 'Watches a reflector opened'),
    watchFailures: counter('reflector_watch_failures_total', 'Lists and watches that ended in an error'),
    handlerErrors: counter('reflector_handler_errors_total', 'Event handlers that threw; a bug of ours'),
    lastEvent: new Gauge({
      name: 'reflector_last_event_timestamp_seconds',
      help: 'Unix time of the last list, event or bookmark',
      labelNames: resource,
      registers,
    }),
    eventsDropped: new Counter({
      name: 'event_recorder_dropped_total',
      help: 'Events not written: over the rate limit, the buffer or the number of tries',
      labelNames: ['reason'],
      registers,
    }),
  }
}
