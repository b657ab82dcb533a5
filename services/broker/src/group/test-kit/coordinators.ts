/**
 * Group coordinators of several brokers over a replicated partition of __consumer_offsets, in virtual
 * time, without brokers around them. The test says who leads.
 */
import { VirtualTime, noMetrics, silentLogger } from '@barnabas/common';
import type { Metrics } from '@barnabas/common';
import type { ImageChanges } from '@barnabas/metadata';
import { BarnabasError, CONSUMER_OFFSETS_TOPIC } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import { DEFAULT_GROUP_SETTINGS } from '../../core/group/index.js';
import type { GroupSettings } from '../../core/group/index.js';
import { TestMetadata } from '../../core/group/test-kit/metadata.js';
import { GroupCoordinator } from '../group-coordinator.js';
import { GroupMetrics } from '../group-metrics.js';
import { OffsetsTopic } from '../offsets-topic.js';
import { FakePartition } from './fake-partition.js';

export interface CoordinatorsOptions {
  readonly settings?: Partial<GroupSettings>;
  readonly commitTimeoutMs?: number;
  /** Of broker 1. */
  readonly metrics?: Metrics;
  /** Of __consumer_offsets; all but the first are empty and stay where they are. Default 1. */
  readonly partitions?: number;
}

const NODES = [1, 2, 3];

export class Coordinators {
  readonly time = new VirtualTime();
  readonly metadata = new TestMetadata(['a', 'b', 'c']);
  readonly partition = new FakePartition();
  readonly faults: Error[] = [];
  /** Partitions whose logs were opened, in order, and what opening waits for. */
  readonly opened: number[] = [];
  openGate: Promise<void> | undefined;
  readonly all: ReadonlyMap<number, GroupCoordinator>;
  leader = 1;

  constructor(private readonly options: CoordinatorsOptions = {}) {
    this.metadata.addTopic(CONSUMER_OFFSETS_TOPIC, options.partitions ?? 1, () => NODES);
    this.metadata.addTopic('orders', 4);
    this.all = new Map(NODES.map((nodeId) => [nodeId, this.#make(nodeId)]));
  }

  /** Who leads, or the one that is named. */
  at(nodeId = this.leader): GroupCoordinator {
    const coordinator = this.all.get(nodeId);
    if (coordinator === undefined) throw new Error(`there is no broker ${nodeId}`);
    return coordinator;
  }

  async start(): Promise<void> {
    for (const coordinator of this.all.values()) coordinator.begin();
    await this.settle();
  }

  /** The lead moves; -1: to nobody. What was not committed goes with the leader where `lost` says so. */
  async move(leader: number, options: { readonly lost?: boolean } = {}): Promise<void> {
    const changes = this.metadata.lead(CONSUMER_OFFSETS_TOPIC, 0, leader);
    const leaderEpoch = this.metadata.image.topics.named(CONSUMER_OFFSETS_TOPIC)?.partitions[0]?.leaderEpoch ?? -1;
    this.leader = leader;
    this.partition.depose({ ...options, leader, leaderEpoch });
    this.tell(changes);
    await this.settle();
  }

  tell(changes: ImageChanges): void {
    for (const coordinator of this.all.values()) coordinator.metadataChanged(changes);
  }

  /** Time passes, and everybody does what is due on the way. */
  async pass(ms: number): Promise<void> {
    const end = this.time.monotonic() + ms;
    for (;;) {
      await this.settle();
      const next = this.time.nextDeadline();
      if (next === undefined || next > end) break;
      this.time.advance(next - this.time.monotonic());
    }
    this.time.advance(end - this.time.monotonic());
    await this.settle();
  }

  /** Until nothing is left to be done at this time. */
  async settle(): Promise<void> {
    for (let idle = 0; idle < 3; idle++) {
      await new Promise((resolve) => setImmediate(resolve));
      if ((this.time.nextDeadline() ?? Infinity) > this.time.monotonic()) continue;
      this.time.advance(0);
      idle = -1;
    }
    const [fault] = this.faults;
    if (fault !== undefined) throw fault;
  }

  #make(nodeId: number): GroupCoordinator {
    const { metadata, time } = this;
    const source = { image: metadata.image, waitFor: async () => true };
    const controller = {
      createInternalTopic: async (): Promise<internal.CreateInternalTopicResponse> => {
        throw new BarnabasError('NOT_CONTROLLER', 'the topic is there');
      },
    };
    const config = {
      'offsets.topic.num.partitions': 1,
      'offsets.topic.replication.factor': 3,
      'offsets.topic.segment.bytes': 1024 * 1024,
    } as const;
    return new GroupCoordinator({
      nodeId,
      settings: { ...DEFAULT_GROUP_SETTINGS, ...this.options.settings },
      commitTimeoutMs: this.options.commitTimeoutMs ?? 5_000,
      topic: new OffsetsTopic({
        ...{ config, controller, timeoutMs: 1_000, logger: silentLogger },
        source: Object.defineProperty(source, 'image', { get: () => metadata.image }),
      }),
      openLog: async (partition) => {
        this.opened.push(partition);
        await this.openGate;
        if (partition > 0) return new FakePartition().lead();
        if (this.leader !== nodeId) throw new BarnabasError('NOT_LEADER_OR_FOLLOWER', 'another leads');
        return this.partition.lead();
      },
      image: () => metadata.image,
      ...{ clock: time, timers: time, logger: silentLogger },
      // Of one broker: a process has no more.
      metrics: new GroupMetrics((nodeId === 1 ? this.options.metrics : undefined) ?? noMetrics),
      onFault: (fault) => void this.faults.push(fault),
    });
  }
}
