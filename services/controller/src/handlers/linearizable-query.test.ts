/** DescribeConfigs of the active controller, over a quorum whose proof of leadership the test holds back. */
import { deferred } from '@barnabas/common';
import type { Deferred } from '@barnabas/common';
import { BarnabasError, v1 } from '@barnabas/protocol';
import type { RaftNode } from '@barnabas/raft';
import { createConnector, LocalNetwork } from '@barnabas/rpc';
import { controllerConfig, settingsOf } from '../config.js';
import { ControllerRuntime } from '../runtime/controller-runtime.js';
import { environmentFor } from '../test-kit/cluster.js';
import { adminService } from './admin-service.js';

const ADDRESS = '127.0.0.1:7800';
const BROKER = { type: v1.ConfigResourceType.BROKER, name: '' };
const STATUS: RaftNode['status'] = {
  ...{ nodeId: 1, role: 'leader', term: 1, leaderId: 1, voters: [], observers: [], directoryId: '' },
  ...{ commitIndex: 0, appliedIndex: 0, lastIndex: 0, snapshotIndex: 0 },
};

let proof: Deferred<number>;
let runtime: ControllerRuntime;
let faults: Error[];
let connector: ReturnType<typeof createConnector>;

beforeEach(async () => {
  proof = deferred();
  faults = [];
  let index = 0;
  const raft: Partial<RaftNode> = {
    status: STATUS,
    readBarrier: () => proof.promise,
    propose: (commands) => {
      const firstIndex = index + 1;
      runtime.apply(commands.map((command) => ({ index: ++index, term: 1, command: Buffer.from(command) })));
      return Promise.resolve({ firstIndex, lastIndex: index, term: 1 });
    },
  };
  const config = controllerConfig.parse({ 'node.id': 1, 'metadata.log.dir': 'metadata' });
  runtime = new ControllerRuntime({
    settings: settingsOf(config),
    environment: environmentFor(),
    onFault: (fault) => faults.push(fault),
  });
  runtime.attach(raft as RaftNode, { clusterId: 'CCCCCCCCQAAAgAAAAAAAAA' });
  runtime.onLeadership(1);
  await runtime.active;
  const local = new LocalNetwork();
  connector = createConnector({ local });
  local.register(ADDRESS, [adminService(runtime, connector)]);
});

afterEach(() => {
  runtime.stop();
  connector.close();
  expect(faults).toEqual([]);
});

const admin = () => connector.channel(ADDRESS).client(v1.AdminServiceDefinition);
const describeConfigs = () => admin().describeConfigs(v1.DescribeConfigsRequest.create({ resources: [BROKER] }));
const retention = ({ results }: v1.DescribeConfigsResponse) =>
  results[0]?.entries.find(({ key }) => key === 'log.retention.ms')?.value;

test('waits for the proof that this controller leads, and tells what was acknowledged meanwhile', async () => {
  const answer = describeConfigs();
  const ops = [{ key: 'log.retention.ms', value: '4711' }];
  const { results } = await admin().incrementalAlterConfigs(
    v1.IncrementalAlterConfigsRequest.create({ resources: [{ resource: BROKER, ops }] }),
  );
  expect(results[0]?.error).toBeUndefined();
  proof.resolve(2);
  expect(retention(await answer)).toBe('4711');
});

test('tells nothing where there is no proof', async () => {
  const refused = expect(describeConfigs()).rejects.toMatchObject({ errorName: 'NOT_CONTROLLER' });
  proof.reject(new BarnabasError('NOT_CONTROLLER', 'another one leads'));
  await refused;
});
