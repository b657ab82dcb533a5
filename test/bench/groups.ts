/**
 * What a group coordinator costs: a real all-in-one process, and this process as the members, which speak
 * to it by unary calls. How fast calls can be at all is measured in the same run, by a call that does
 * nothing.
 */
import { createConnector } from '@barnabas/rpc';
import type { Connector, ServiceClient } from '@barnabas/rpc';
import { errorFromProto, v1 } from '@barnabas/protocol';
import fs from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Server } from '../support/server.js';
import { cpuSeconds, residentBytes, timed } from './measure.js';

type Groups = ServiceClient<typeof v1.GroupServiceDefinition>;

const TOPIC = 'wide';
const SESSION_MS = 45_000;
/** Long enough that nobody's heartbeat is answered for the time alone while a rebalance is measured. */
const INTERVAL_MS = 5_000;
const IN_FLIGHT = 64;

export interface RebalanceFigures {
  readonly members: number;
  readonly partitions: number;
  /** From the first of all joins to the last member's last partition. */
  readonly allJoinMs: number;
  /** From the join of one more until every member has what it shall have. */
  readonly oneMoreMs: number;
  /** From the word of one that leaves. */
  readonly oneLessMs: number;
  /** CPU time of the server for one more, in milliseconds. */
  readonly oneMoreCpuMs: number;
}

export interface ManyGroupsFigures {
  readonly groups: number;
  /** Resident memory of the process beyond what it had without groups. */
  readonly memoryBytes: number;
  /** CPU seconds a second while every member waits for news. */
  readonly waitingCores: number;
  /** Heartbeats a second, as many as fit, and CPU time of the server for each, in microseconds. */
  readonly heartbeatsPerSecond: number;
  readonly heartbeatMicros: number;
  readonly commitsPerSecond: number;
  readonly commitMicros: number;
  /** A call that does nothing, the same way. */
  readonly emptyCallsPerSecond: number;
  readonly emptyCallMicros: number;
}

export class GroupSubject {
  private constructor(
    private readonly server: Server,
    private readonly connector: Connector,
    private readonly dataDir: string,
  ) {}

  static async start(directory: string): Promise<GroupSubject> {
    const dataDir = path.join(directory, 'groups');
    const server = await Server.start({
      dataDir,
      set: {
        'group.consumer.session.timeout.ms': SESSION_MS,
        'group.consumer.heartbeat.interval.ms': INTERVAL_MS,
      },
    });
    return new GroupSubject(server, createConnector(), dataDir);
  }

  async stop(): Promise<void> {
    this.connector.close();
    await this.server.stop();
    fs.rmSync(this.dataDir, { recursive: true, force: true });
  }

  async rebalance(members: number, partitions: number): Promise<RebalanceFigures> {
    await this.#createTopic(partitions);
    await this.#ready('rebalanced');
    const group = new LiveGroup(this.#groups(), 'rebalanced', partitions);
    const ids = Array.from({ length: members }, (_, index) => `member-${index}`);
    const allJoin = await timed(async () => {
      for (const id of ids) group.join(id);
      await group.settled();
    });
    const cpuBefore = this.#cpu();
    const oneMore = await timed(async () => {
      group.join('one-more');
      await group.settled();
    });
    const oneMoreCpuMs = (this.#cpu() - cpuBefore) * 1000;
    const oneLess = await timed(async () => {
      await group.leave('member-0');
      await group.settled();
    });
    await group.end();
    const [allJoinMs, oneMoreMs, oneLessMs] = [allJoin * 1000, oneMore * 1000, oneLess * 1000];
    return { members, partitions, allJoinMs, oneMoreMs, oneLessMs, oneMoreCpuMs };
  }

  /** So many groups of one member each, all of them on this one broker. */
  async manyGroups(count: number, seconds: number): Promise<ManyGroupsFigures> {
    await this.#createTopic(1);
    await this.#ready('group-0');
    const client = this.#groups();
    await sleep(seconds * 500);
    const memoryBefore = this.#memory();
    const groups = Array.from({ length: count }, (_, index) => new LiveGroup(client, `group-${index}`, 1));
    for (let from = 0; from < count; from += IN_FLIGHT) {
      const some = groups.slice(from, from + IN_FLIGHT);
      for (const group of some) group.join('only');
      await Promise.all(some.map((group) => group.settled()));
    }
    const [start, cpuBefore] = [performance.now(), this.#cpu()];
    await sleep(Math.max(2_000, seconds * 1000));
    const waitingCores = (this.#cpu() - cpuBefore) / ((performance.now() - start) / 1000);
    const memoryBytes = this.#memory() - memoryBefore;
    await Promise.all(groups.map((group) => group.end()));

    const beats = groups.map((group) => group.heartbeat('only'));
    const empty = await this.#rate(seconds, (n) => client.findCoordinator({ groupIds: [`group-${n % count}`] }));
    const heartbeats = await this.#rate(seconds, async (n) => {
      const request = beats[n % count];
      if (request !== undefined) mustBeFine(await client.consumerGroupHeartbeat(request));
    });
    const commits = await this.#rate(seconds, async (n) => {
      const request = groups[n % count]?.commit('only', n);
      if (request !== undefined) mustBeFine(await client.commitOffsets(request));
    });
    return {
      ...{ groups: count, memoryBytes, waitingCores },
      heartbeatsPerSecond: heartbeats.perSecond,
      heartbeatMicros: heartbeats.micros,
      commitsPerSecond: commits.perSecond,
      commitMicros: commits.micros,
      emptyCallsPerSecond: empty.perSecond,
      emptyCallMicros: empty.micros,
    };
  }

  /** How many a second, with some on their way at once, and what each costs the server. */
  async #rate(
    seconds: number,
    call: (n: number) => Promise<unknown>,
  ): Promise<{ readonly perSecond: number; readonly micros: number }> {
    let made = 0;
    const lanes = async (until: number): Promise<void> => {
      const lane = async (): Promise<void> => {
        while (performance.now() < until) await call(made++);
      };
      await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
    };
    // Compiled code is part of a server's normal state.
    await lanes(performance.now() + seconds * 300);
    made = 0;
    const cpuBefore = this.#cpu();
    const took = await timed(() => lanes(performance.now() + seconds * 1000));
    return { perSecond: made / took, micros: ((this.#cpu() - cpuBefore) / made) * 1e6 };
  }

  #groups(): Groups {
    return this.connector.channel(`127.0.0.1:${this.server.ports.broker}`).client(v1.GroupServiceDefinition);
  }

  async #createTopic(partitions: number): Promise<void> {
    const admin = this.connector.channel(this.server.bootstrap).client(v1.AdminServiceDefinition);
    const name = topicOf(partitions);
    const topics = [v1.NewTopic.create({ name, partitions, replicationFactor: 1 })];
    const { results } = await admin.createTopics(v1.CreateTopicsRequest.create({ topics }));
    const error = results[0]?.error;
    if (error !== undefined) throw errorFromProto(error);
  }

  /** The coordinators have loaded what they coordinate. */
  async #ready(groupId: string): Promise<void> {
    const client = this.#groups();
    await client.findCoordinator({ groupIds: [groupId] });
    while ((await client.listGroups(v1.ListGroupsRequest.create({}))).errors.length > 0) await sleep(10);
    while ((await client.fetchOffsets(v1.FetchOffsetsRequest.create({ groupId }))).error !== undefined) await sleep(10);
  }

  #cpu(): number {
    return cpuSeconds(this.server.pid) ?? 0;
  }

  #memory(): number {
    return residentBytes(this.server.pid) ?? 0;
  }
}

const topicOf = (partitions: number) => `${TOPIC}-${partitions}`;

interface LiveMember {
  epoch: number;
  version: number;
  owned: readonly v1.GroupPartition[];
  readonly end: AbortController;
}

/** A group whose members confirm at once, and let each heartbeat wait for news. */
class LiveGroup {
  readonly #members = new Map<string, LiveMember>();
  readonly #running = new Set<Promise<void>>();
  #onChange: () => void = () => {};

  constructor(
    private readonly client: Groups,
    private readonly groupId: string,
    private readonly partitions: number,
  ) {}

  join(id: string): void {
    const member: LiveMember = { epoch: 0, version: 0, owned: [], end: new AbortController() };
    this.#members.set(id, member);
    const running = this.#live(id, member).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async leave(id: string): Promise<void> {
    this.#members.get(id)?.end.abort();
    this.#members.delete(id);
    mustBeFine(await this.client.consumerGroupHeartbeat({ ...this.heartbeat(id), memberEpoch: -1 }));
  }

  /** Every partition is somebody's, everybody has a fair share, and all are at one epoch. */
  async settled(): Promise<void> {
    while (!this.#isSettled()) await new Promise<void>((resolve) => (this.#onChange = resolve));
  }

  /** The members say nothing more; the coordinator still has them. */
  async end(): Promise<void> {
    for (const { end } of this.#members.values()) end.abort();
    await Promise.all(this.#running);
  }

  heartbeat(memberId: string): v1.ConsumerGroupHeartbeatRequest {
    const { epoch: memberEpoch, version: appliedVersion, owned } = this.#members.get(memberId) ?? NOBODY;
    const { groupId } = this;
    const who = { groupId, memberId, memberEpoch, incarnation: 1 };
    const subscription = { topics: [topicOf(this.partitions)], pattern: '' };
    return v1.ConsumerGroupHeartbeatRequest.create({
      ...who,
      ...(memberEpoch === 0
        ? { rebalanceTimeoutMs: 60_000, subscription }
        : { owned: { appliedVersion, partitions: [...owned] } }),
    });
  }

  commit(memberId: string, offset: number): v1.CommitOffsetsRequest {
    const { epoch: memberEpoch, owned } = this.#members.get(memberId) ?? NOBODY;
    const offsets = owned.map((partition) => v1.OffsetToCommit.create({ partition, offset }));
    const { groupId } = this;
    return v1.CommitOffsetsRequest.create({ groupId, memberId, memberEpoch, incarnation: 1, offsets });
  }

  async #live(id: string, member: LiveMember): Promise<void> {
    const { signal } = member.end;
    while (!signal.aborted) {
      const maxWaitMs = member.epoch === 0 ? 0 : INTERVAL_MS;
      const call = this.client.consumerGroupHeartbeat({ ...this.heartbeat(id), maxWaitMs }, { signal });
      const response = await call.catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
      if (response === undefined) return;
      // On a slow disk an answer may take longer than the coordinator waits: it is asked for again.
      if (response.error !== undefined && errorFromProto(response.error).retriable) continue;
      mustBeFine(response);
      member.epoch = response.memberEpoch;
      member.owned = response.assignment?.partitions ?? member.owned;
      member.version = response.assignment?.version ?? member.version;
      this.#onChange();
    }
  }

  #isSettled(): boolean {
    let owned = 0;
    const epochs = new Set<number>();
    const fair = Math.ceil(this.partitions / Math.max(1, this.#members.size));
    for (const member of this.#members.values()) {
      if (member.owned.length > fair) return false;
      owned += member.owned.length;
      epochs.add(member.epoch);
    }
    return owned === this.partitions && epochs.size === 1 && !epochs.has(0);
  }
}

const NOBODY = { epoch: 0, version: 0, owned: [] } as const;

function mustBeFine({ error }: { readonly error?: v1.Error | undefined }): void {
  if (error !== undefined) throw errorFromProto(error);
}
