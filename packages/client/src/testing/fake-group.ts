/**
 * A group as a small model of a coordinator keeps it: the rules of docs/protocols/groups.md that a member
 * can tell apart, without records, racks, sessions and patterns beyond JavaScript's. Members are removed
 * when a test says so. Pure: the same model judges the member's core.
 */
import { BarnabasError, v1 } from '@barnabas/protocol';

export interface FakeTopicPartition {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
}

export interface FakeGroupMember {
  readonly id: string;
  readonly instanceId: string;
  incarnation: number;
  epoch: number;
  previousEpoch: number;
  version: number;
  topics: readonly string[];
  pattern: string;
  rebalanceTimeoutMs: number;
  clientId: string;
  clientHost: string;
  /** It has said that it will be back. */
  isAway: boolean;
  assigned: Map<string, FakeTopicPartition & { readonly since: number }>;
  pending: Map<string, FakeTopicPartition & { readonly since: number }>;
}

export interface FakeCommit extends FakeTopicPartition {
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly rewinds: number;
}

export const FAKE_INTERVAL_MS = 5_000;
export const FAKE_SESSION_MS = 45_000;

/** What there is to read: every partition of every topic. */
export type FakeTopics = () => readonly FakeTopicPartition[];

export class FakeGroup {
  readonly members = new Map<string, FakeGroupMember>();
  readonly commits = new Map<string, FakeCommit>();
  epoch = 0;
  readonly #topics: FakeTopics;
  #target = new Map<string, string>();
  #layout = '';

  constructor(topics: FakeTopics) {
    this.#topics = topics;
  }

  /** Who owns what, by `topic-partition`, what is being given up included. */
  owners(): Map<string, string> {
    const owners = new Map<string, string>();
    for (const { id, assigned, pending } of this.members.values()) {
      for (const { topic, partition } of [...assigned.values(), ...pending.values()]) {
        owners.set(`${topic}-${partition}`, id);
      }
    }
    return owners;
  }

  /** Nobody waits for anything. */
  get isStable(): boolean {
    this.#refresh();
    return [...this.members.values()].every(
      (member) => member.epoch === this.epoch && member.pending.size === 0 && !this.#wantsMore(member),
    );
  }

  /** As when its session is over, or it was late to give partitions up. */
  remove(memberId: string): void {
    if (this.members.delete(memberId)) this.#retarget();
  }

  /** There is something to know of it. */
  get exists(): boolean {
    return this.members.size > 0 || this.commits.size > 0;
  }

  get state(): v1.GroupState {
    if (this.members.size === 0) return v1.GroupState.EMPTY;
    return this.isStable ? v1.GroupState.STABLE : v1.GroupState.RECONCILING;
  }

  describe(): readonly v1.DescribedMember[] {
    const members = [...this.members.values()].sort((one, other) => (one.id < other.id ? -1 : 1));
    return members.map(({ id, assigned, pending, topics, pattern, ...member }) => ({
      memberId: id,
      ...{ instanceId: member.instanceId, rackId: '', clientId: member.clientId, clientHost: member.clientHost },
      subscription: { topics: [...topics], pattern },
      epoch: member.epoch,
      assignment: [...assigned.values(), ...pending.values()].map(named),
      target: this.#topics()
        .filter((one) => this.#target.get(keyOf(one)) === id)
        .map(named),
    }));
  }

  /** Refuses what members subscribe to. */
  deleteOffsets(partitions: readonly v1.GroupPartition[]): (BarnabasError | undefined)[] {
    return partitions.map((asked) => {
      const found = this.#find(asked);
      if (found === undefined) return new BarnabasError('UNKNOWN_TOPIC_OR_PARTITION', 'there is no such partition');
      if ([...this.members.values()].some((member) => subscribes(member, found.topic))) {
        return new BarnabasError('GROUP_SUBSCRIBED_TO_TOPIC', `members subscribe to ${found.topic}`);
      }
      this.commits.delete(keyOf(found));
      return undefined;
    });
  }

  heartbeat(request: v1.ConsumerGroupHeartbeatRequest): v1.ConsumerGroupHeartbeatResponse {
    this.#refresh();
    if (request.memberEpoch < 0) return this.#leave(request);
    const member = request.memberEpoch === 0 ? this.#join(request) : this.#known(request);
    if (request.memberEpoch > 0) this.#checkEpoch(member, request);
    const report = request.memberEpoch === 0 ? undefined : reportOf(member, request);
    this.#describe(member, request);
    const before = member.version;
    this.#reconcile(member, report);
    const hasIt = request.memberEpoch > 0 && (request.owned?.appliedVersion ?? before) === member.version;
    const partitions = [...member.assigned.values()].map(({ topic, topicId, partition }) => ({
      ...{ topic, topicId, partition },
    }));
    return {
      memberEpoch: member.epoch,
      heartbeatIntervalMs: FAKE_INTERVAL_MS,
      sessionTimeoutMs: FAKE_SESSION_MS,
      assignment: hasIt ? undefined : { version: member.version, partitions },
      error: undefined,
    };
  }

  /** Whether the member would learn something from a heartbeat now. */
  hasNews({ memberId, memberEpoch, owned, incarnation }: v1.ConsumerGroupHeartbeatRequest): boolean {
    this.#refresh();
    const member = this.members.get(memberId);
    if (member === undefined || incarnation < member.incarnation) return true;
    this.#reconcile(member, undefined);
    return member.epoch !== memberEpoch || member.version !== owned?.appliedVersion;
  }

  commit(request: v1.CommitOffsetsRequest): v1.CommittedOffsetResult['error'][] | BarnabasError[] {
    const member = this.#committer(request);
    return request.offsets.map(({ partition, offset, leaderEpoch = -1, metadata, rewinds: counted }) => {
      const found = this.#find(partition);
      if (found === undefined) return unknown(partition);
      const key = keyOf(found);
      const since = member?.assigned.get(key)?.since ?? member?.pending.get(key)?.since;
      const { memberEpoch = -1 } = request;
      if (member !== undefined && (since === undefined || memberEpoch < since)) {
        return new BarnabasError('STALE_MEMBER_EPOCH', `member ${member.id} does not own this partition`);
      }
      const known = this.commits.get(key);
      const before = known ?? { rewinds: 0, offset: -1 };
      const isBelow = offset < before.offset;
      const rewinds = member === undefined ? before.rewinds + Number(isBelow) : (counted ?? before.rewinds);
      const isLate = rewinds < before.rewinds || (rewinds === before.rewinds && isBelow);
      if (!isLate) this.commits.set(key, { ...found, offset, leaderEpoch, metadata, rewinds });
      return undefined;
    }) as BarnabasError[];
  }

  fetch(request: v1.FetchOffsetsRequest): FakeCommit[] {
    if (request.memberId !== '') {
      const member = this.#known(request);
      if (member.epoch !== request.memberEpoch) throw new BarnabasError('STALE_MEMBER_EPOCH', 'an old epoch');
    }
    if (request.partitions.length === 0) return [...this.commits.values()];
    return request.partitions.map((asked) => {
      const found = this.#find(asked) ?? asked;
      return this.commits.get(keyOf(found)) ?? { ...found, offset: -1, leaderEpoch: -1, metadata: '', rewinds: 0 };
    });
  }

  // --- members ---

  #join(request: v1.ConsumerGroupHeartbeatRequest): FakeGroupMember {
    const { memberId, incarnation, instanceId = '', subscription } = request;
    if (subscription === undefined || request.rebalanceTimeoutMs === undefined) {
      throw new BarnabasError('INVALID_REQUEST', 'a member that joins says what it subscribes to');
    }
    const known = this.members.get(memberId);
    if (known !== undefined) {
      checkIncarnation(known, incarnation);
      if (known.isAway || incarnation > known.incarnation) {
        known.assigned = new Map();
        known.pending = new Map();
        known.version++;
        known.epoch = 0;
      }
      known.isAway = false;
      return known;
    }
    const holder = [...this.members.values()].find((one) => instanceId !== '' && one.instanceId === instanceId);
    if (holder !== undefined && !holder.isAway) {
      throw new BarnabasError('UNRELEASED_INSTANCE_ID', `member ${holder.id} has the instance id`);
    }
    const member: FakeGroupMember = {
      ...{ id: memberId, instanceId, incarnation, epoch: 0, previousEpoch: 0, version: 0, topics: [], pattern: '' },
      ...{
        rebalanceTimeoutMs: 0,
        clientId: '',
        clientHost: '',
        isAway: false,
        assigned: new Map(),
        pending: new Map(),
      },
    };
    this.members.set(memberId, member);
    if (holder === undefined) {
      this.#describe(member, request);
      this.#retarget();
      return member;
    }
    this.members.delete(holder.id);
    for (const [key, owner] of this.#target) if (owner === holder.id) this.#target.set(key, memberId);
    ({ topics: member.topics, pattern: member.pattern } = holder);
    member.assigned = holder.assigned;
    member.version = holder.version;
    return member;
  }

  #known(request: {
    readonly memberId: string;
    readonly incarnation: number;
    readonly instanceId?: string | undefined;
  }) {
    const { memberId, incarnation, instanceId = '' } = request;
    const holder = [...this.members.values()].find((one) => instanceId !== '' && one.instanceId === instanceId);
    if (holder !== undefined && holder.id !== memberId) {
      throw new BarnabasError('FENCED_INSTANCE_ID', `member ${holder.id} has taken over`);
    }
    const member = this.members.get(memberId);
    if (member === undefined) throw new BarnabasError('UNKNOWN_MEMBER_ID', `there is no member ${memberId}`);
    checkIncarnation(member, incarnation);
    return member;
  }

  #checkEpoch(member: FakeGroupMember, { memberEpoch, owned }: v1.ConsumerGroupHeartbeatRequest): void {
    if (memberEpoch === member.epoch) return;
    const ownsNoMore = owned?.partitions.every((one) => member.assigned.has(keyOf(one))) === true;
    if (memberEpoch === member.previousEpoch && memberEpoch < member.epoch && ownsNoMore) return;
    throw new BarnabasError('FENCED_MEMBER_EPOCH', `member ${member.id} is at epoch ${member.epoch}`);
  }

  #leave(request: v1.ConsumerGroupHeartbeatRequest): v1.ConsumerGroupHeartbeatResponse {
    const member = this.#known(request);
    if (request.memberEpoch === -1) this.remove(member.id);
    else {
      member.isAway = true;
      member.pending = new Map();
      member.version++;
    }
    const { memberEpoch } = request;
    return { memberEpoch, heartbeatIntervalMs: 0, sessionTimeoutMs: 0, assignment: undefined, error: undefined };
  }

  #describe(member: FakeGroupMember, request: v1.ConsumerGroupHeartbeatRequest): void {
    const { subscription, incarnation, rebalanceTimeoutMs = member.rebalanceTimeoutMs } = request;
    member.incarnation = incarnation;
    member.rebalanceTimeoutMs = rebalanceTimeoutMs;
    member.clientId = request.clientId ?? member.clientId;
    member.clientHost = request.clientHost ?? member.clientHost;
    if (request.enforceRebalance) this.#retarget();
    if (subscription === undefined) return;
    const { topics, pattern } = subscription;
    if (topics.join() === member.topics.join() && pattern === member.pattern) return;
    member.topics = topics;
    member.pattern = pattern;
    this.#retarget();
  }

  #committer(request: v1.CommitOffsetsRequest): FakeGroupMember | undefined {
    const { memberId, memberEpoch = -1 } = request;
    if (memberId === '' && memberEpoch === -1) {
      if (this.members.size === 0) return undefined;
      throw new BarnabasError('UNKNOWN_MEMBER_ID', 'the group has members: only they commit');
    }
    const member = this.#known(request);
    if (memberEpoch > member.epoch || memberEpoch <= 0) throw new BarnabasError('STALE_MEMBER_EPOCH', 'another epoch');
    return member;
  }

  // --- who gets what ---

  /** As reconciliation.ts of the coordinator: what nobody owns is given, what is not in the target is taken. */
  #reconcile(member: FakeGroupMember, report: ReadonlySet<string> | undefined): void {
    const mayOwn = (key: string): boolean => report === undefined || report.has(key);
    if ([...member.pending.keys()].some(mayOwn)) return;
    if (member.pending.size === 0 && member.epoch === this.epoch && !this.#wantsMore(member)) return;
    let isChanged = member.pending.size > 0;
    member.pending = new Map();
    const surplus = [...member.assigned].filter(([key]) => this.#target.get(key) !== member.id);
    for (const [key] of surplus) member.assigned.delete(key);
    isChanged ||= surplus.length > 0;
    if (surplus.some(([key]) => mayOwn(key))) {
      member.pending = new Map(surplus);
      member.version++;
      return;
    }
    const owned = new Set([...this.members.values()].flatMap((one) => [...one.assigned.keys(), ...one.pending.keys()]));
    for (const partition of this.#topics()) {
      const key = keyOf(partition);
      if (this.#target.get(key) !== member.id || owned.has(key)) continue;
      member.assigned.set(key, { ...partition, since: this.epoch });
      isChanged = true;
    }
    if (member.epoch !== this.epoch) member.previousEpoch = member.epoch;
    member.epoch = this.epoch;
    if (isChanged) member.version++;
  }

  #wantsMore(member: FakeGroupMember): boolean {
    return [...this.#target].some(([key, owner]) => owner === member.id && !member.assigned.has(key));
  }

  /** Topics have come, grown or gone. */
  #refresh(): void {
    const layout = this.#topics().map(keyOf).join();
    if (layout === this.#layout) return;
    this.#layout = layout;
    this.#retarget();
  }

  /** Balanced within one among those who subscribe alike; what can stay stays. */
  #retarget(): void {
    this.epoch++;
    const before = this.#target;
    const members = [...this.members.values()];
    const counts = new Map(members.map(({ id }) => [id, 0]));
    const target = new Map<string, string>();
    const all = this.#topics().filter(({ topic }) => members.some((member) => subscribes(member, topic)));
    const give = (key: string, id: string): void => {
      target.set(key, id);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    };
    const quota = Math.ceil(all.length / Math.max(1, this.members.size));
    const floor = Math.floor(all.length / Math.max(1, this.members.size));
    let roomy = all.length - floor * this.members.size;
    for (const partition of all) {
      const key = keyOf(partition);
      const owner = this.members.get(before.get(key) ?? '');
      const count = counts.get(owner?.id ?? '') ?? 0;
      if (owner === undefined || !subscribes(owner, partition.topic) || count >= quota) continue;
      if (count >= floor && roomy-- <= 0) continue;
      give(key, owner.id);
    }
    for (const partition of all) {
      const key = keyOf(partition);
      if (target.has(key)) continue;
      const able = [...this.members.values()].filter((member) => subscribes(member, partition.topic));
      able.sort((one, other) => (counts.get(one.id) ?? 0) - (counts.get(other.id) ?? 0));
      if (able[0] !== undefined) give(key, able[0].id);
    }
    this.#target = target;
  }

  #find(asked: v1.GroupPartition | undefined): FakeTopicPartition | undefined {
    return this.#topics().find(
      ({ topic, topicId, partition }) =>
        partition === asked?.partition && (asked.topicId === '' ? topic === asked.topic : topicId === asked.topicId),
    );
  }
}

function unknown(asked: v1.GroupPartition | undefined): BarnabasError {
  const isById = (asked?.topicId ?? '') !== '';
  return new BarnabasError(isById ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION', 'there is no such partition');
}

function subscribes({ topics, pattern }: FakeGroupMember, topic: string): boolean {
  return topics.includes(topic) || (pattern !== '' && new RegExp(`^(?:${pattern})$`).test(topic));
}

function reportOf(
  member: FakeGroupMember,
  { owned }: v1.ConsumerGroupHeartbeatRequest,
): ReadonlySet<string> | undefined {
  if (owned === undefined || owned.appliedVersion !== member.version) return undefined;
  return new Set(owned.partitions.map(keyOf));
}

function checkIncarnation(member: FakeGroupMember, incarnation: number): void {
  if (incarnation >= member.incarnation) return;
  throw new BarnabasError('FENCED_MEMBER_EPOCH', `member ${member.id} goes on in a later stream`);
}

function named({ topic, topicId, partition }: FakeTopicPartition): v1.GroupPartition {
  return { topic, topicId, partition };
}

function keyOf({ topicId, partition }: { readonly topicId: string; readonly partition: number }): string {
  return `${topicId}/${partition}`;
}
