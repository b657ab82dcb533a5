/** Three controllers over real gRPC and LevelDB: the cluster goes on when the active one stops. */
import { freePorts, Nodes, readAll } from '../support/nodes';

let nodes: Nodes;
beforeEach(() => {
  nodes = new Nodes();
});
afterEach(() => nodes.close());

test('topics are created and data flow before, without, and after the return of the active controller', async () => {
  const ports = await freePorts(3);
  const voters = ports.map((port, index) => `${index + 1}@127.0.0.1:${port}`).join(',');
  const quorum = { 'controller.quorum.voters': voters };
  const startController = (id: number) =>
    nodes.start({
      name: `controller-${id}`,
      roles: ['controller'],
      config: {
        ...quorum,
        'node.id': id,
        'cluster.id': 'CCCCCCCCQAAAgAAAAAAAAA',
        'controller.listeners': `CONTROLLER://127.0.0.1:${ports[id - 1]}`,
        'controller.quorum.election.timeout.ms': 300,
      },
    });
  await Promise.all([1, 2, 3].map(startController));
  await Promise.all(
    [1, 2].map((id) => nodes.start({ name: `broker-${id}`, roles: ['broker'], config: { ...quorum, 'node.id': id } })),
  );
  const gateway = await nodes.start({ name: 'gateway', roles: ['gateway'], config: quorum });

  const client = nodes.client(gateway);
  const admin = client.admin();
  const produceTo = async (topic: string) => {
    await admin.createTopics([{ name: topic, partitions: 4 }]);
    const producer = client.producer();
    await Promise.all([0, 1, 2, 3].map((partition) => producer.send({ topic, partition, value: topic })));
    await producer.close();
  };
  const values = async (topic: string) => (await readAll(client, topic, 4)).map(({ value }) => value);

  await produceTo('before');
  const { controllerId } = await admin.describeCluster();
  expect([1, 2, 3]).toContain(controllerId);
  await nodes.stop(`controller-${controllerId}`, 0);

  await produceTo('without');
  expect((await admin.describeCluster()).controllerId).not.toBe(controllerId);
  expect(await values('before')).toEqual(Array.from({ length: 4 }, () => 'before'));
  expect(await values('without')).toEqual(Array.from({ length: 4 }, () => 'without'));

  await startController(controllerId);
  await produceTo('after');
  expect(await values('after')).toEqual(Array.from({ length: 4 }, () => 'after'));
  expect((await admin.listTopics()).map(({ name }) => name).sort()).toEqual(['after', 'before', 'without']);
});
