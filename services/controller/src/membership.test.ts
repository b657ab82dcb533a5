import { SeededRandom } from '@barnabas/common';
import { controllerConfig } from './config.js';
import { membershipOf } from './membership.js';
import type { MembershipFacts } from './membership.js';

const BOUND = { host: '127.0.0.1', port: 7800 };
const CLUSTER_ID = 'CCCCCCCCQAAAgAAAAAAAAA';

function membership(values: Readonly<Record<string, unknown>>, facts: Partial<MembershipFacts> = {}) {
  const config = controllerConfig.parse({ 'node.id': 1, 'metadata.log.dir': 'd', ...values });
  return membershipOf(config, { identity: undefined, bound: BOUND, random: new SeededRandom(1), ...facts });
}

const VOTERS = { 'controller.quorum.voters': '1@one:7800,2@two:7800', 'cluster.id': CLUSTER_ID };
const SERVERS = { 'controller.quorum.bootstrap.servers': 'one:7800,two:7800' };

test('a controller that is told of nobody founds a cluster by itself, on a disk like no other', () => {
  const founded = membership({});
  expect(founded.clusterId).toMatch(/^[A-Za-z0-9_-]{22}$/);
  expect(founded.endpoint).toBe('127.0.0.1:7800');
  expect(founded.initialVoters).toMatchObject([{ id: 1, endpoint: '127.0.0.1:7800' }]);
  const again = membership({}, { random: new SeededRandom(2) });
  expect(again.initialVoters[0]?.directoryId).not.toBe(founded.initialVoters[0]?.directoryId);
});

test('one of several first voters has the list that all have', () => {
  expect(membership(VOTERS)).toEqual({
    clusterId: CLUSTER_ID,
    endpoint: 'one:7800',
    initialVoters: [
      { id: 1, endpoint: 'one:7800' },
      { id: 2, endpoint: 'two:7800' },
    ],
    bootstrapServers: ['one:7800', 'two:7800'],
  });
});

test.each([
  ['told of bootstrap servers', { ...SERVERS, 'cluster.id': CLUSTER_ID, 'node.id': 3 }],
  ['not among the first voters', { ...VOTERS, 'node.id': 3 }],
])('a controller that is %s joins without a vote', (_, values) => {
  expect(membership(values)).toMatchObject({
    ...{ clusterId: CLUSTER_ID, endpoint: '127.0.0.1:7800' },
    ...{ initialVoters: [], bootstrapServers: ['one:7800', 'two:7800'] },
  });
});

test('one that joins must know which cluster: from its disk, or told', () => {
  const joining = { ...SERVERS, 'node.id': 3 };
  expect(() => membership(joining)).toThrow(/run "barnabas storage format" first, with the id of that cluster/);
  expect(membership(joining, { identity: { clusterId: 'on-disk' } }).clusterId).toBe('on-disk');
});

test('a controller says where it is reached', () => {
  const advertised = { 'controller.advertised.listeners': 'CONTROLLER://elsewhere:99' };
  expect(membership({ ...VOTERS, ...advertised }).endpoint).toBe('elsewhere:99');
  const everywhere = { bound: { host: '0.0.0.0', port: 7800 } };
  expect(() => membership(SERVERS, everywhere)).toThrow(/set controller.advertised.listeners/);
  expect(membership({ ...VOTERS }, everywhere).endpoint).toBe('one:7800');
  expect(() => membership({ 'controller.advertised.listeners': 'A://a:1,B://b:2' })).toThrow(/exactly one listener/);
});
