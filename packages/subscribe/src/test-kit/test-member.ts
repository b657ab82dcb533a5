/** Nodes that serve Subscribe in front of a cluster in memory, in virtual time, and clients of theirs. For this package's tests. */
import { assert, noMetrics } from '@barnabas/common';
import type { MetricOptions, Metrics } from '@barnabas/common';
import { Harness, settle } from '@barnabas/client/testing';
import type { HarnessOptions } from '@barnabas/client/testing';
import { BarnabasError, BatchBuilder, v1 } from '@barnabas/protocol';
import { refuseAll, service } from '@barnabas/rpc';
import type { MessageStream } from '@barnabas/rpc';
import { SubscribeMetrics, SubscribeService, ServedGroupService } from '../index.js';

export const BUFFER_BYTES = 4 * 1024 * 1024;

export class Nodes {
  readonly harness: Harness;
  readonly faults: unknown[] = [];
  /** What a ping does that a node sends to its clients; undefined: nodes cannot ask. Of streams opened later. */
  onPing: (() => Promise<void>) | undefined;
  readonly #services = new Map<number, SubscribeService>();
  readonly #counters = new Map<string, number>();

  constructor(options: HarnessOptions = {}) {
    this.harness = new Harness({ brokers: 2, topics: { t: 4 }, ...options });
    for (const node of [1, 2]) this.#serve(node);
  }

  /** What was counted, over all labels. */
  counted(name: string): number {
    return this.#counters.get(`barnabas_gateway_subscribe_${name}`) ?? 0;
  }

  /** A client's stream to a node; it says nothing by itself but its start. */
  open(start: Partial<v1.SubscribeStart> = {}, node = 1): TestMember {
    const stream = this.harness.cluster.connector.channel(address(node)).client(v1.GroupServiceDefinition).subscribe();
    return new TestMember(stream, start);
  }

  /** The node stops. */
  stop(node: number): void {
    this.#services
      .get(node)
      ?.stop(new BarnabasError('BROKER_NOT_AVAILABLE', 'this node is stopping: go on at another'));
  }

  produce(partition: number, values: readonly (string | Buffer)[], topic = 't'): void {
    const builder = new BatchBuilder({ compression: 'none', maxBytes: 10_000_000, maxBatchBytes: 10_000_000 });
    for (const value of values) {
      builder.tryAppend({ key: null, value: Buffer.from(value), headers: [], timestamp: 1_000 });
    }
    this.harness.cluster.partition(topic, partition).append(builder.build());
  }

  committed(partition: number, group = 'g', topic = 't'): number | undefined {
    return this.harness.cluster.groups.committed(group, topic, partition);
  }

  /** Moves time in small steps until it is so; says how long that took. */
  async until(isSo: () => boolean, limitMs = 100_000): Promise<number> {
    const { time } = this.harness.environment;
    const begun = time.monotonic();
    while (!isSo()) {
      await settle(3);
      if (isSo()) break;
      if (time.monotonic() - begun > limitMs) throw new Error(`it does not become so: ${String(isSo)}`);
      time.advance(10);
    }
    return time.monotonic() - begun;
  }

  /** As much time as that passes. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.harness.environment.time.monotonic() + ms;
    await this.until(() => this.harness.environment.time.monotonic() >= untilMs, ms + 100);
    await settle(5);
  }

  async close(): Promise<void> {
    for (const node of this.#services.keys()) this.stop(node);
    await settle();
    await this.harness.close();
    assert(this.faults.length === 0, 'no node found a fault', { faults: this.faults.map(String).join() });
  }

  #serve(node: number): void {
    const subscribe = new SubscribeService({
      router: this.harness.client.router,
      metrics: new SubscribeMetrics(this.#metrics(), 'gateway'),
      bufferBytes: BUFFER_BYTES,
      maxMessageBytes: 1024 * 1024,
      onFault: (fault) => this.faults.push(fault),
    });
    this.#services.set(node, subscribe);
    const handlers = {
      ...refuseAll(v1.GroupServiceDefinition),
      subscribe: (...[stream, context]: Parameters<typeof subscribe.handler>) => {
        if (this.onPing !== undefined) Object.assign(stream, { ping: this.onPing });
        subscribe.handler(stream, context);
      },
    };
    this.harness.cluster.network.register(address(node), [service(ServedGroupService, handlers)]);
  }

  #metrics(): Metrics {
    const counter = ({ name }: MetricOptions) => ({
      add: (amount: number) => void this.#counters.set(name, (this.#counters.get(name) ?? 0) + amount),
    });
    return { ...noMetrics, counter };
  }
}

function address(node: number): string {
  return `node-${node}.fake:7600`;
}

const DEFAULTS: Partial<v1.SubscribeStart> = {
  groupId: 'g',
  topics: ['t'],
  autoOffsetReset: v1.AutoOffsetReset.EARLIEST,
};

type Response = NonNullable<v1.SubscribeResponse['response']>;

/** A client: keeps what it hears. */
export class TestMember {
  readonly heard: Response[] = [];
  /** Values of records, in the order in which they came. */
  readonly values: string[] = [];
  /** What it owns, and where it is, by partition. */
  readonly positions = new Map<number, number>();
  joined: v1.SubscribeJoined | undefined;
  epoch = 0;
  isOver = false;
  error: BarnabasError | undefined;
  /** Acknowledges each message at once. */
  acknowledges = false;
  /** Lets go what is revoked at once. */
  releases = true;

  constructor(
    readonly stream: MessageStream<v1.SubscribeResponse, v1.SubscribeRequest>,
    start: Partial<v1.SubscribeStart>,
  ) {
    stream.handle({
      onMessage: ({ response }) => this.#hear(response),
      onClose: (error) => {
        this.isOver = true;
        this.error = error;
      },
    });
    this.say({ $case: 'start', start: v1.SubscribeStart.create({ ...DEFAULTS, ...start }) });
  }

  say(request: v1.SubscribeRequest['request']): void {
    this.stream.write({ request });
  }

  ack(partition: number, offset: number, metadata = ''): void {
    this.say({ $case: 'ack', ack: { positions: [{ topic: 't', partition, offset, leaderEpoch: -1, metadata }] } });
  }

  release(...partitions: number[]): void {
    this.say({ $case: 'released', released: { partitions: partitions.map(named) } });
  }

  seek(correlationId: number, partition: number, offset: number): void {
    const positions = [{ topic: 't', partition, offset, leaderEpoch: -1, metadata: '' }];
    this.say({ $case: 'seek', seek: { correlationId, positions } });
  }

  /** What it needs to go on elsewhere: an attempt later each time. */
  resumption(attempt = 1): v1.SubscribeResume {
    const { memberId = '', incarnation = 0 } = this.joined ?? {};
    const owned = [...this.positions].map(([partition, offset]) => ({
      ...{ topic: 't', partition, offset, leaderEpoch: -1, metadata: '' },
    }));
    return { memberId, memberEpoch: this.epoch, incarnation: incarnation + attempt, owned };
  }

  of<K extends Response['$case']>(kind: K): Extract<Response, { $case: K }>[] {
    return this.heard.filter((message): message is Extract<Response, { $case: K }> => message.$case === kind);
  }

  #hear(response: v1.SubscribeResponse['response']): void {
    if (response === undefined) throw new Error('an answer says something');
    this.heard.push(response);
    switch (response.$case) {
      case 'joined':
        this.joined = response.joined;
        this.epoch = response.joined.memberEpoch;
        return;
      case 'assigned':
        this.epoch = response.assigned.memberEpoch;
        for (const { partition, offset } of response.assigned.positions) this.positions.set(partition, offset);
        return;
      case 'revoked':
        if (this.releases) this.say({ $case: 'released', released: { partitions: response.revoked.partitions } });
        for (const { partition } of response.revoked.partitions) this.positions.delete(partition);
        return;
      case 'lost':
        this.positions.clear();
        return;
      case 'records': {
        const { partition, records, nextOffset } = response.records;
        for (const { value } of records) this.values.push(value?.toString() ?? '');
        this.positions.set(partition, nextOffset);
        if (this.acknowledges) this.ack(partition, nextOffset);
        return;
      }
      case 'committed':
      case 'sought':
      case 'partitionError':
    }
  }
}

export function named(partition: number): v1.GroupPartition {
  return { topic: 't', topicId: '', partition };
}
