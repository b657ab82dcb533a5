// The import table of docs/architecture.md, enforced. Anything absent from it is an error.
/** Which rooms each room may import from. A name without a slash is a package or service by its folder name. */
const table = {
  'packages/common': [],
  'packages/protocol': ['packages/common'],
  'packages/store': ['packages/common'],
  'packages/rpc': ['packages/common', 'packages/protocol'],
  'packages/raft/src/core': ['packages/common'],
  'packages/raft': ['packages/raft/src/core', 'packages/common', 'packages/protocol', 'packages/store', 'packages/rpc'],
  'packages/log': ['packages/common', 'packages/protocol', 'packages/store'],
  'packages/metadata': ['packages/common', 'packages/protocol', 'packages/store', 'packages/rpc'],
  'packages/client': ['packages/common', 'packages/protocol', 'packages/rpc'],
  'packages/subscribe/src/core': ['packages/common', 'packages/protocol'],
  'packages/subscribe': [
    'packages/subscribe/src/core',
    'packages/common',
    'packages/protocol',
    'packages/rpc',
    'packages/client',
    'packages/metadata',
  ],
  'services/controller/src/core': ['packages/common', 'packages/metadata', 'packages/protocol'],
  'services/broker/src/core': ['packages/common', 'packages/metadata', 'packages/protocol', 'packages/log'],
  'services/controller': [
    'services/controller/src/core',
    'packages/raft',
    'packages/metadata',
    'packages/client',
    'packages/rpc',
    'packages/protocol',
    'packages/common',
    'packages/store',
  ],
  'services/broker': [
    'services/broker/src/core',
    'packages/log',
    'packages/metadata',
    'packages/client',
    'packages/subscribe',
    'packages/rpc',
    'packages/protocol',
    'packages/common',
    'packages/store',
  ],
  'services/gateway': [
    'packages/metadata',
    'packages/client',
    'packages/subscribe',
    'packages/rpc',
    'packages/protocol',
    'packages/common',
    'packages/store',
  ],
  'packages/cli': [
    'packages/client',
    'packages/protocol',
    'packages/common',
    'packages/rpc',
    'packages/log',
    'packages/store',
    'services/controller',
    'services/broker',
    'services/gateway',
  ],
  'packages/sim': [
    'packages/raft',
    'packages/log',
    'packages/metadata',
    'packages/common',
    'packages/protocol',
    'packages/store',
    'packages/rpc',
    'packages/client',
    'packages/subscribe',
    'services/controller',
    'services/broker',
  ],
};

const escape = (path) => path.replaceAll('/', '\\/');
/** A room's own files, without the core nested inside it when the core is a room of its own. */
const own = (room) => (table[`${room}/src/core`] ? `^${escape(room)}\\/src\\/(?!core\\/)` : `^${escape(room)}\\/`);

const tableRules = Object.entries(table).map(([room, allowed]) => ({
  name: `import-table:${room}`,
  severity: 'error',
  from: { path: own(room), pathNot: ['\\.test\\.ts$', '\\/dist\\/'] },
  to: {
    path: '^(packages|services)\\/',
    pathNot: [`^${escape(room)}\\/`, ...allowed.map((target) => `^${escape(target)}\\/`)],
  },
}));

module.exports = {
  forbidden: [
    ...tableRules,
    {
      name: 'no-cycles',
      severity: 'error',
      from: { pathNot: '\\/gen\\/' },
      to: { circular: true, viaOnly: { pathNot: '\\/gen\\/' } },
    },
    {
      name: 'only-through-exports',
      comment: 'a package is imported by its name, never by a path into it',
      severity: 'error',
      from: { path: '^(packages|services)\\/([^/]+)\\/' },
      to: {
        path: '^(packages|services)\\/',
        pathNot: '^$1\\/$2\\/',
        dependencyTypes: ['local'],
        dependencyTypesNot: ['aliased'],
      },
    },
    {
      name: 'only-store-imports-level',
      severity: 'error',
      from: { pathNot: '^packages\\/store\\/' },
      to: { path: 'node_modules\\/(level|classic-level|memory-level|abstract-level)\\/' },
    },
    {
      name: 'only-rpc-imports-grpc',
      severity: 'error',
      from: { pathNot: ['^packages\\/rpc\\/', '^test\\/bench\\/'] },
      to: { path: 'node_modules\\/@grpc\\/' },
    },
    {
      name: 'groups-know-no-replicas',
      comment: 'the group coordinator decides on records; that a log is under them is the runtime’s business',
      severity: 'error',
      from: { path: '^services\\/broker\\/src\\/core\\/group\\/' },
      to: {
        path: ['^packages\\/log\\/', '^services\\/broker\\/src\\/core\\/(?!group\\/)'],
        pathNot: '^services\\/broker\\/src\\/core\\/purgatory\\.ts$',
      },
    },
    {
      name: 'cores-are-pure',
      comment: 'a core takes time, randomness, disk and network from outside',
      severity: 'error',
      from: { path: '\\/src\\/core\\/', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['core', 'npm', 'npm-dev'], pathNot: '^packages\\/' },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.cruise.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(\\/dist\\/|\\.d\\.ts$)' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'require', 'node', 'default'] },
  },
};
