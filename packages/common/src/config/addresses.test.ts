import fc from 'fast-check';
import { defineConfig, formatAddress, key, parseAddress } from './index.js';
import { address, advertisedListeners, listeners, port, quorumVoters } from './addresses.js';

const definition = defineConfig({
  listeners: key(listeners(), { default: [], doc: 'Where the node listens.' }),
  'advertised.listeners': key(advertisedListeners(), { default: null, doc: 'What others connect to.' }),
  'controller.quorum.voters': key(quorumVoters(), { default: [], doc: 'The voters.' }),
  'http.port': key(port(), { default: 0, doc: 'A port.' }),
  peer: key(address(), { default: null, doc: 'An address.' }),
});

const arbitraryHost = fc.oneof(
  fc.domain().filter((host) => host.length < 250),
  fc.ipV4(),
  fc.ipV6(),
  fc.constantFrom('localhost', 'broker-0.brokers.default.svc.cluster.local', 'a_b'),
);
const arbitraryAddress = fc.record({ host: arbitraryHost, port: fc.integer({ min: 1, max: 65_535 }) });

test('what is formatted is parsed back, for names, IPv4 and IPv6', () => {
  fc.assert(
    fc.property(arbitraryAddress, (value) => {
      expect(parseAddress(formatAddress(value))).toEqual(value);
    }),
  );
});

test('listeners and voters are read back from what was written', () => {
  const arbitraryListeners = fc.uniqueArray(
    fc.record({
      name: fc.stringMatching(/^[A-Z][A-Z0-9_]{0,8}$/),
      host: fc.oneof(arbitraryHost, fc.constant('')),
      port: fc.integer({ min: 0, max: 65_535 }),
    }),
    { minLength: 1, selector: (value) => value.name },
  );
  const voters = fc.uniqueArray(
    fc.record({ id: fc.nat(), host: arbitraryHost, port: fc.integer({ min: 1, max: 65_535 }) }),
    { minLength: 1, selector: (value) => value.id },
  );
  fc.assert(
    fc.property(arbitraryListeners, voters, (listenersValue, votersValue) => {
      const fixed = listenersValue.filter((value) => value.port !== 0).map(formatAddress);
      fc.pre(new Set(fixed).size === fixed.length);
      fc.pre(new Set(votersValue.map(formatAddress)).size === votersValue.length);
      const text = (name: 'listeners' | 'controller.quorum.voters', value: never) => definition.format(name, value);
      const config = definition.parse({
        listeners: text('listeners', listenersValue as never),
        'controller.quorum.voters': text('controller.quorum.voters', votersValue as never),
      });
      expect(config.listeners).toEqual(listenersValue);
      expect(config['controller.quorum.voters']).toEqual(votersValue);
    }),
  );
});

test("reads Kafka's forms", () => {
  const config = definition.parse({
    listeners: 'client://127.0.0.1:7700, INTERNAL://:0,V6://[::1]:7701',
    'advertised.listeners': ['CLIENT://broker-0.example:7700'],
    'controller.quorum.voters': '1@127.0.0.1:7800,2@[fe80::1]:7800',
    peer: 'localhost:1',
  });
  expect(config).toEqual({
    listeners: [
      { name: 'CLIENT', host: '127.0.0.1', port: 7700 },
      { name: 'INTERNAL', host: '', port: 0 },
      { name: 'V6', host: '::1', port: 7701 },
    ],
    'advertised.listeners': [{ name: 'CLIENT', host: 'broker-0.example', port: 7700 }],
    'controller.quorum.voters': [
      { id: 1, host: '127.0.0.1', port: 7800 },
      { id: 2, host: 'fe80::1', port: 7800 },
    ],
    'http.port': 0,
    peer: { host: 'localhost', port: 1 },
  });
});

test.each([
  ['listeners', 'CLIENT://127.0.0.1'],
  ['listeners', 'CLIENT://127.0.0.1:65536'],
  ['listeners', '127.0.0.1:7700'],
  ['listeners', 'CLIENT://::1:7700'],
  ['listeners', 'CLIENT://a:1,CLIENT://a:2'],
  ['listeners', 'A://a:1,B://a:1'],
  ['listeners', 'A://a:1,'],
  ['listeners', ''],
  ['listeners', [{}]],
  ['advertised.listeners', 'CLIENT://:7700'],
  ['advertised.listeners', 'CLIENT://host:0'],
  ['controller.quorum.voters', '127.0.0.1:7800'],
  ['controller.quorum.voters', '1@h:1,1@h:2'],
  ['controller.quorum.voters', '1@h:1,2@h:1'],
  ['controller.quorum.voters', '1@h:0'],
  ['controller.quorum.voters', '4294967296@h:1'],
  ['http.port', '65536'],
  ['http.port', '-1'],
  ['peer', ':7700'],
  ['peer', 'ho st:7700'],
  ['peer', '-host:7700'],
])('refuses %s = %j', (name, value) => {
  expect(() => definition.parse({ [name]: value })).toThrow(`configuration key ${name} must be`);
});
