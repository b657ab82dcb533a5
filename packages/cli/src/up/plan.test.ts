import fc from 'fast-check';
import { planCluster, portsNeeded } from './plan.js';

const shapes = fc.record({
  brokers: fc.integer({ min: 1, max: 100 }),
  controllers: fc.integer({ min: 1, max: 9 }),
  gateways: fc.integer({ min: 0, max: 20 }),
});

test('no two nodes share a port, a directory or a log file', () => {
  fc.assert(
    fc.property(shapes, fc.integer({ min: 1, max: 65_000 }), fc.boolean(), (shape, basePort, isFree) => {
      const free = Array.from({ length: portsNeeded(shape) }, (_, index) => 20_000 + index);
      const { nodes } = planCluster(shape, '/data', isFree ? { free } : { basePort });
      const ports = nodes.flatMap((node) => (node.httpPort === undefined ? [node.port] : [node.port, node.httpPort]));
      expect(ports).toHaveLength(portsNeeded(shape));
      expect(new Set(ports).size).toBe(ports.length);
      if (isFree) expect([...ports].sort()).toEqual(free);
      expect(new Set(nodes.map((node) => node.dataDir)).size).toBe(nodes.length);
      expect(new Set(nodes.map((node) => node.logFile)).size).toBe(nodes.length);
    }),
  );
});

test('the first of each role has the port it has alone', () => {
  const plan = planCluster({ brokers: 2, controllers: 3, gateways: 1 }, '/data', { basePort: 7600 });
  expect(plan.nodes.map(({ role, id, port }) => `${role}-${id}:${port}`)).toEqual([
    'controller-1:7800',
    'controller-2:7801',
    'controller-3:7802',
    'broker-1:7700',
    'broker-2:7701',
    'gateway-1:7600',
  ]);
  expect(plan.nodes.at(-1)?.httpPort).toBe(7680);
  expect(plan.voters).toBe('1@127.0.0.1:7800,2@127.0.0.1:7801,3@127.0.0.1:7802');
  expect(plan.bootstrap).toEqual(['127.0.0.1:7600']);
});

test('without gateways clients begin at the brokers', () => {
  const plan = planCluster({ brokers: 2, controllers: 1, gateways: 0 }, '/data', { basePort: 7600 });
  expect(plan.bootstrap).toEqual(['127.0.0.1:7700', '127.0.0.1:7701']);
});

test.each([
  [{ brokers: 1, controllers: 1, gateways: 21 }, 7600, 'more than 20 gateways need --base-port 0'],
  [{ brokers: 101, controllers: 1, gateways: 1 }, 7600, 'more than 100 brokers need --base-port 0'],
  [{ brokers: 1, controllers: 2, gateways: 1 }, 65_400, '--base-port must be at most 65334'],
])('refuses what has no room: %j', (shape, basePort, message) => {
  expect(() => planCluster(shape, '/data', { basePort })).toThrow(message);
});
