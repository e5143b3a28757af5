/** Every bound of what comes from outside: it imports nothing, and everybody may import it. */
const LIMITS = '^src/limits\\.ts$'

/** Imports go one way: operator -> src <- sharder; inside src: api, protocol, support <- domain <- manager <- bot-api <- local, cli. */
const only = (name, from, to, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: from },
  to: { path: '^(src|operator|sharder)/', pathNot: [to, LIMITS] },
})

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    only('limits', LIMITS, LIMITS, 'bounds know nothing'),
    only('api', '^src/api/', '^src/api/', 'the API is the source of everything and knows nothing'),
    only('protocol', '^src/protocol/', '^src/(protocol/|support/text\\.ts$)', 'the wire knows nothing'),
    only('support', '^src/support/', '^src/support/', 'support knows nothing of the project'),
    only('domain', '^src/domain/', '^src/(domain|api|protocol|support)/', 'decisions do no I/O'),
    only('manager', '^src/manager/', '^src/(manager|domain|api|protocol|support)/', 'the manager knows no Kubernetes'),
    only(
      'bot-api',
      '^src/bot-api/',
      '^src/(bot-api|manager|domain|api|protocol|support)/',
      'the same for operator and local mode',
    ),
    only('simulator', '^src/simulator/', '^src/(simulator|domain|api|protocol|support)/', 'the simulator stands alone'),
    only(
      'rest-proxy',
      '^src/rest-proxy/',
      '^src/(rest-proxy|domain|api|protocol|support)/',
      'the REST proxy stands alone',
    ),
    only('local', '^src/local/', '^src/', 'local mode uses what src has'),
    only(
      'sharder',
      '^sharder/',
      '^(sharder/|src/(api|protocol|domain|support)/)',
      'a pod carries no manager and no Kubernetes client',
    ),
    only(
      'operator',
      '^operator/',
      '^(operator/|src/(api|protocol|domain|manager|bot-api|support)/)',
      'the operator shares src, and nothing of the pod',
    ),
    only('examples', '^examples/', '^examples/', 'an example is what a user writes, with published packages alone'),
    {
      name: 'brokers-only-where-configured',
      severity: 'error',
      comment:
        'the client library of a broker is some MB in every thread: it is loaded with the first sink of its kind',
      from: { path: '^sharder/' },
      to: { path: '^sharder/sinks/(nats|redis|rabbitmq)-link\\.ts$', dynamic: false },
    },
    {
      name: 'brokers-only-in-links',
      severity: 'error',
      comment: 'the same',
      from: { path: '^(src|operator|sharder)/', pathNot: '^sharder/sinks/(nats|redis|rabbitmq)-link\\.ts$' },
      to: { path: 'node_modules/(@nats-io|ioredis|amqplib)/' },
    },
    {
      name: 'kube-is-generic',
      severity: 'error',
      comment: 'operator/kube knows no ShardCluster',
      from: { path: '^operator/kube/' },
      to: { path: '^(operator/(?!kube/)|src/(?!support/|limits\\.ts))' },
    },
    {
      name: 'no-kubernetes-in-src',
      severity: 'error',
      comment: '77 MB a process for nothing',
      from: { path: '^(src|sharder)/' },
      to: { path: 'node_modules/@kubernetes/' },
    },
    {
      name: 'pure-domain',
      severity: 'error',
      comment: 'no clock, socket, environment or randomness',
      from: { path: '^src/(domain|api)/' },
      to: { dependencyTypes: ['core'] },
    },
    { name: 'not-to-tests', severity: 'error', from: { path: '^(src|operator|sharder)/' }, to: { path: '^test/' } },
    {
      name: 'no-dev-packages',
      severity: 'error',
      from: { path: '^(src|operator|sharder)/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'], pathNot: 'node_modules/@types/' },
    },
  ],
  options: {
    // The one program loads its commands, whatever folder they are in.
    exclude: { path: '^src/cli/main\\.ts$' },
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
}
