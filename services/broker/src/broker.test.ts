import { BarnabasError, v1 } from '@barnabas/protocol';
import { MemoryStoreFactory } from '@barnabas/store';
import { brokerConfig } from './config.js';
import { CLUSTER_ID } from './test-kit/scripted-controller.js';
import { BROKER_ADDRESS, TestBroker } from './test-kit/test-broker.js';
import {
  credit,
  errorCodeOf,
  eventually,
  produceRequest,
  Recorded,
  recordsEntry,
  subscribe,
} from './test-kit/requests.js';

const BOUND = { host: '127.0.0.1', port: 2 };

let broker: TestBroker;

afterEach(() => broker.stop());

describe('a broker that starts', () => {
  it('registers where it is reached, and serves once it is unfenced', async () => {
    broker = new TestBroker({ config: { 'broker.rack': 'r1' } });
    await expect(broker.log.produce(produceRequest([recordsEntry('orders', ['a'])]))).rejects.toMatchObject({
      errorName: 'BROKER_NOT_AVAILABLE',
    });
    await broker.role.start(BOUND);
    const { brokers, clusterId } = await broker.metadata.describeCluster({});
    expect(clusterId).toBe(CLUSTER_ID);
    expect(brokers).toMatchObject([{ id: 1, host: '127.0.0.1', port: 2, rack: 'r1', fenced: false }]);
  });

  it('registers what it is told to advertise', async () => {
    const config = { 'advertised.listeners': 'CLIENT://front.example:9000,INTERNAL://back.example:9001' };
    broker = await TestBroker.start({ config });
    const { brokers } = await broker.metadata.describeCluster({});
    expect(brokers[0]).toMatchObject({ host: 'front.example', port: 9000 });
  });

  it('waits until its previous incarnation is given up', async () => {
    broker = new TestBroker();
    broker.controller.refusals.push(
      new BarnabasError('DUPLICATE_BROKER_REGISTRATION', 'still alive'),
      new BarnabasError('DUPLICATE_BROKER_REGISTRATION', 'still alive'),
    );
    await broker.role.start(BOUND);
    expect(broker.controller.registrations.get(1)).toMatchObject({ fenced: false });
  });

  it('gives up at once when it is refused for good, and after the timeout when nobody answers', async () => {
    broker = new TestBroker();
    broker.controller.refusals.push(new BarnabasError('INVALID_REGISTRATION', 'not you'));
    await expect(broker.role.start(BOUND)).rejects.toMatchObject({ errorName: 'INVALID_REGISTRATION' });
    const alone = new TestBroker({ config: { 'initial.broker.registration.timeout.ms': 50 } });
    alone.controller.stop();
    await expect(alone.role.start(BOUND)).rejects.toMatchObject({ errorName: 'BROKER_NOT_AVAILABLE' });
    await alone.role.stop(100);
  });

  it('can be stopped while it starts', async () => {
    broker = new TestBroker();
    broker.controller.stop();
    const starting = broker.role.start(BOUND);
    await broker.role.stop(100);
    await expect(starting).rejects.toMatchObject({ errorName: 'BROKER_NOT_AVAILABLE' });
  });

  it('refuses the log directory of another node', async () => {
    broker = await TestBroker.start();
    await broker.role.stop(100);
    const other = new TestBroker({ disks: broker.disks, config: { 'node.id': 2 } });
    await expect(other.role.start(BOUND)).rejects.toMatchObject({ errorName: 'INCONSISTENT_CLUSTER_ID' });
    await other.stop();
  });
});

describe('a broker that runs', () => {
  beforeEach(async () => {
    broker = await TestBroker.start();
  });

  it('registers again when the controller has forgotten it', async () => {
    const first = broker.controller.registrations.get(1)?.epoch ?? 0;
    broker.controller.registrations.set(1, { epoch: -1, fenced: true });
    await eventually(() => (broker.controller.registrations.get(1)?.epoch ?? 0) > first, 'it registers again');
    await eventually(() => broker.controller.registrations.get(1)?.fenced === false, 'it is unfenced again');
  });

  it('goes on while the controller is away, and heartbeats again afterwards', async () => {
    await broker.topic('orders');
    broker.controller.heartbeatError = new BarnabasError('NOT_CONTROLLER', 'elections');
    const { results } = await broker.log.produce(produceRequest([recordsEntry('orders', ['a'])]));
    expect(results[0]?.error).toBeUndefined();
    const before = broker.controller.heartbeats.length;
    broker.controller.heartbeatError = undefined;
    await eventually(() => broker.controller.heartbeats.length > before, 'it heartbeats');
    expect(broker.controller.heartbeats.at(-1)).toMatchObject({ brokerId: 1, wantFence: false, wantShutDown: false });
  });

  it('ends with the fault when an invariant breaks', async () => {
    const topicId = await broker.topic('orders');
    // A leader that is not in the ISR: no controller of ours would write that.
    broker.controller.changePartition(topicId, 0, { isr: [2] });
    await expect(broker.role.failed).rejects.toThrow('P3');
    await expect(broker.log.listOffsets(v1.ListOffsetsRequest.create({}))).rejects.toMatchObject({
      errorName: 'BROKER_NOT_AVAILABLE',
    });
  });

  it('counts partitions', async () => {
    await broker.topic('orders', 1, { 'min.insync.replicas': '2' });
    const led = { leader: 1, replicas: [1, 2], isr: [1] };
    broker.controller.createTopic('thin', [led, led]);
    broker.controller.setConfig('thin', 'min.insync.replicas', '2');
    broker.controller.createTopic('followed', [{ leader: 2, replicas: [2, 1], isr: [2] }]);
    await broker.caughtUp();
    const sample = (name: string) => broker.metrics.sample(`barnabas_${name}`);
    expect([sample('partitions'), sample('leader_partitions')]).toEqual([4, 3]);
    // A topic with one replica cannot ask for two.
    expect([sample('under_min_isr_partitions'), sample('offline_replicas')]).toEqual([2, 0]);
    expect([sample('under_replicated_partitions'), sample('at_min_isr_partitions')]).toEqual([2, 1]);
  });
});

describe('a broker that stops', () => {
  it('asks for leave, and waits for it no longer than its grace', async () => {
    broker = await TestBroker.start();
    await broker.role.stop(10_000);
    expect(broker.controller.heartbeats.at(-1)).toMatchObject({ wantShutDown: true });
    const other = await TestBroker.start();
    other.controller.mayLeave = false;
    const begun = Date.now();
    await other.stop(100);
    expect(Date.now() - begun).toBeLessThan(5_000);
    expect(other.controller.heartbeats.filter(({ wantShutDown }) => wantShutDown).length).toBeGreaterThan(0);
  });

  it('answers what it has taken in, refuses the rest, and keeps everything', async () => {
    broker = await TestBroker.start();
    await broker.topic('orders');
    const request = () => broker.log.produce(produceRequest([recordsEntry('orders', ['a'])]));
    const taken = Array.from({ length: 5 }, request);
    await eventually(() => broker.metrics.total('barnabas_messages_in_total') === 5, 'five are appended');
    const stopping = broker.role.stop(5_000);
    for (const answer of taken) expect((await answer).results[0]?.error).toBeUndefined();
    await stopping;
    await expect(request()).rejects.toMatchObject({ errorName: 'BROKER_NOT_AVAILABLE' });
    expect(broker.disks.store('logs/checkpoints')).toBeUndefined();
  });

  it('ends the streams that clients hold, once what they brought is answered', async () => {
    broker = await TestBroker.start();
    await broker.topic('orders');
    const produced = new Recorded(broker.log.produceStream());
    const idle = new Recorded(broker.log.produceStream());
    const fetched = new Recorded(broker.log.fetch());
    fetched.stream.write(subscribe());
    fetched.stream.write(credit(1000));
    const consumed = new Recorded(broker.log.consume(v1.ConsumeRequest.create({ topic: 'orders' })));
    const watched = new Recorded(broker.metadata.watchMetadata({ topics: [] }));
    await watched.until((messages) => messages.length > 0);
    await fetched.until((messages) => messages.length > 0);
    for (let id = 0; id < 5; id++) {
      produced.stream.write({
        correlationId: id,
        answerEarly: false,
        request: produceRequest([recordsEntry('orders', ['a'])]),
      });
    }
    await eventually(() => broker.metrics.total('barnabas_messages_in_total') === 5, 'five are appended');
    await broker.role.stop(600_000);
    // The role alone has ended them: its server has nobody to wait for.
    expect(await Promise.all([produced.end(), idle.end(), watched.end()])).toEqual([undefined, undefined, undefined]);
    expect(produced.messages.map(({ correlationId }) => correlationId)).toEqual([0, 1, 2, 3, 4]);
    expect(produced.messages.map(({ response }) => response?.results[0]?.error)).toEqual(Array(5).fill(undefined));
    for (const reader of [fetched, consumed]) {
      expect(await reader.end()).toMatchObject({ errorName: 'BROKER_NOT_AVAILABLE' });
    }
  });

  it('breaks off what has no answer when its time is up', async () => {
    broker = await TestBroker.start();
    const topicId = await broker.topic('orders', 1);
    await broker.log.produce(produceRequest([recordsEntry('orders', ['a'])]));
    broker.controller.mayLeave = false;
    const release = broker.store(topicId).stallWrites();
    const produced = new Recorded(broker.log.produceStream());
    produced.stream.write({
      correlationId: 1,
      answerEarly: false,
      request: produceRequest([recordsEntry('orders', ['b'])]),
    });
    await eventually(() => broker.metrics.total('barnabas_messages_in_total') === 2, 'it is appended');
    const stopping = broker.role.stop(50);
    expect(await produced.end()).toMatchObject({ errorName: 'BROKER_NOT_AVAILABLE' });
    release();
    await stopping;
  });
});

describe('logs', () => {
  it('of topics deleted while the broker was down are removed, others stay', async () => {
    const disks = new MemoryStoreFactory();
    broker = await TestBroker.start({ disks });
    const gone = await broker.topic('gone');
    const kept = await broker.topic('kept');
    for (const topic of ['gone', 'kept']) {
      await broker.log.produce(produceRequest([recordsEntry(topic, ['a'])]));
    }
    const records = broker.controller.records.slice(1).flatMap(({ record }) => record ?? []);
    await broker.stop();
    broker = new TestBroker({ disks });
    broker.controller.append(...records, { $case: 'removeTopic', removeTopic: { topicId: gone } });
    await broker.role.start(BOUND);
    await broker.log.produce(produceRequest([recordsEntry('kept', ['b'])]));
    const logs = await broker.logs?.storedLogs();
    expect(logs?.map(({ topicId }) => topicId)).toEqual([kept]);
  });

  it('tell the controller whether the broker stopped in good order', async () => {
    const disks = new MemoryStoreFactory();
    broker = await TestBroker.start({ disks });
    await broker.topic('orders');
    await broker.log.produce(produceRequest([recordsEntry('orders', ['a'])]));
    const epoch = broker.controller.registrations.get(1)?.epoch;
    await broker.stop();
    const epochs = [broker.controller.registerRequests[0]?.previousBrokerEpoch];
    broker = await TestBroker.start({ disks });
    epochs.push(broker.controller.registerRequests[0]?.previousBrokerEpoch);
    expect(epochs).toEqual([-1, epoch]);
  });

  it('lose what retention drops, also when nobody has used them since the start', async () => {
    const disks = new MemoryStoreFactory();
    broker = await TestBroker.start({ disks });
    await broker.topic('old', 1, { 'retention.ms': '1000', 'segment.ms': '1' });
    const records = [v1.Record.create({ value: Buffer.from('a'), timestampMs: 1000 })];
    const payload = { $case: 'records' as const, records: { records } };
    for (let count = 0; count < 3; count++) {
      await broker.log.produce(produceRequest([{ topic: 'old', partition: 0, payload }]));
    }
    const metadata = broker.controller.records.slice(1).flatMap(({ record }) => record ?? []);
    await broker.stop();
    broker = new TestBroker({ disks, config: { 'log.retention.check.interval.ms': 10 } });
    broker.controller.append(...metadata);
    await broker.role.start(BOUND);
    await eventually(() => (broker.logs?.logs()[0]?.logStartOffset ?? 0) > 0, 'retention has dropped records');
    const spec = { $case: 'earliest' as const, earliest: true };
    const request = v1.ListOffsetsRequest.create({ entries: [{ topic: 'old', partition: 0, spec }] });
    expect((await broker.log.listOffsets(request)).results[0]?.offset).toBeGreaterThan(0);
  });

  it('keep the last record of each key where they are compacted, and are read over what is gone', async () => {
    const disks = new MemoryStoreFactory();
    const config = { 'log.cleaner.backoff.ms': 10, 'log.cleaner.io.max.bytes.per.second': 1_000_000 };
    broker = await TestBroker.start({ disks, config });
    const compacted = { 'cleanup.policy': 'compact', 'segment.ms': '1', 'min.cleanable.dirty.ratio': '0' };
    await broker.topic('table', 1, compacted);
    for (let count = 0; count < 10; count++) {
      const [key, value] = [Buffer.from(`k${count % 3}`), Buffer.from(`v${count}`.padEnd(1000))];
      const records = [v1.Record.create({ key, value, timestampMs: 1000 + 10 * count })];
      const payload = { $case: 'records' as const, records: { records } };
      const { results } = await broker.log.produce(produceRequest([{ topic: 'table', partition: 0, payload }]));
      expect(results[0]?.error).toBeUndefined();
    }
    const log = broker.logs?.logs()[0];
    // Ten records of a kilobyte came, four stay.
    await eventually(() => (log?.sizeInBytes ?? Infinity) < 5_500, 'the log is compacted');
    const start = { position: { $case: 'earliest' as const, earliest: true } };
    const request = v1.ConsumeRequest.create({ topic: 'table', start, stopAtEnd: true });
    const consumed = new Recorded(broker.log.consume(request));
    expect(await consumed.end()).toBeUndefined();
    const seen = consumed.messages
      .flatMap(({ records }) => records)
      .map(({ offset, key, value }) => `${offset}:${String(key)}=${String(value).trim()}`);
    // The last one is in the active segment, and so is not what supersedes 6.
    expect(seen).toEqual(['6:k0=v6', '7:k1=v7', '8:k2=v8', '9:k0=v9']);
    const keyless = {
      $case: 'records' as const,
      records: { records: [v1.Record.create({ value: Buffer.from('x') })] },
    };
    const { results } = await broker.log.produce(produceRequest([{ topic: 'table', partition: 0, payload: keyless }]));
    expect(errorCodeOf(results[0]?.error)).toBe('INVALID_RECORD');
  });

  it('of a topic created again under its name are new', async () => {
    broker = await TestBroker.start();
    const first = await broker.topic('again');
    await broker.log.produce(produceRequest([recordsEntry('again', ['a', 'b'])]));
    broker.controller.deleteTopic(first);
    await broker.caughtUp();
    const missing = await broker.log.produce(produceRequest([recordsEntry('again', ['c'])]));
    expect(errorCodeOf(missing.results[0]?.error)).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    await broker.topic('again');
    const { results } = await broker.log.produce(produceRequest([recordsEntry('again', ['d'])]));
    expect(results[0]).toMatchObject({ baseOffset: 0, error: undefined });
  });
});

describe('configuration', () => {
  const minimal = { 'node.id': 1, 'log.dir': 'x', 'controller.quorum.voters': `1@${BROKER_ADDRESS}` };

  it('has Kafka’s defaults, with flush.messages 1', () => {
    broker = new TestBroker();
    expect(brokerConfig.parse(minimal)).toMatchObject({
      'message.max.bytes': 1_048_588,
      'log.retention.ms': 604_800_000,
      'log.flush.interval.messages': 1,
      'broker.heartbeat.interval.ms': 2000,
    });
  });

  it('refuses what cannot work', () => {
    expect(() => brokerConfig.parse({ ...minimal, 'log.dirs': 'x' })).toThrow('log.dir');
    expect(() => brokerConfig.parse({ ...minimal, 'node.id': -1 })).toThrow('node.id');
    expect(() => brokerConfig.parse({ 'node.id': 1 })).toThrow('log.dir');
    expect(() => brokerConfig.parse({ ...minimal, 'socket.request.max.bytes': 1000 })).toThrow('message.max.bytes');
  });
});
