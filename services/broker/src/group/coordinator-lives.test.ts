/**
 * Random lives of a group whose coordinators lose the lead, their disks' tails and their in-sync replicas,
 * seen from outside: by what members are told and do.
 *
 *   K1  no two members believe that they own one partition. A member believes what it was last told, until
 *       it is told otherwise. (Nobody is silent for a session here: group-lives.test.ts has that.)
 *   K2  an offset that was acknowledged is never taken back
 *   K3  nothing is fetched that nobody has committed
 *   K4  when all is well again the group settles, and every partition has an owner
 */
import { InvariantError, SeededRandom } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import type { HeartbeatRequest, HeartbeatResponse, TopicPartitionId } from '../core/group/index.js';
import { Coordinators } from './test-kit/coordinators.js';

const SEEDS = 60;
const STEPS = 120;
const MEMBERS = 4;
const PASSED_OVER = new Set([
  'NOT_COORDINATOR',
  'COORDINATOR_NOT_AVAILABLE',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'REQUEST_TIMED_OUT',
  'STALE_MEMBER_EPOCH',
]);

class Member {
  epoch = 0;
  version = -1;
  incarnation = 1;
  owned: readonly TopicPartitionId[] = [];
  /** Counts what it has begun: an answer to something of before is void. */
  life = 0;

  constructor(readonly id: string) {}

  request(enforceRebalance: boolean): HeartbeatRequest {
    const { id: memberId, epoch: memberEpoch, incarnation } = this;
    const who = { groupId: 'g', memberId, memberEpoch, incarnation };
    if (this.epoch === 0) return { ...who, topicNames: ['orders'], rebalanceTimeoutMs: 600_000 };
    return { ...who, enforceRebalance, owned: this.owned, appliedVersion: this.version };
  }

  apply({ memberEpoch, assignment }: HeartbeatResponse): void {
    // Answers may overtake each other: an older one says nothing new.
    if (memberEpoch < this.epoch) return;
    this.epoch = memberEpoch;
    if (assignment === undefined || assignment.version < this.version) return;
    this.version = assignment.version;
    this.owned = assignment.partitions;
  }

  beginAnew(): void {
    this.life += 1;
    this.incarnation += 1;
    this.epoch = 0;
    this.version = -1;
    this.owned = [];
  }
}

class Life {
  readonly at = new Coordinators({ settings: { sessionTimeoutMs: 3_600_000, heartbeatIntervalMs: 5_000 } });
  readonly random: SeededRandom;
  readonly members = Array.from({ length: MEMBERS }, (_, index) => new Member(`m${index}`));
  /** By partition: what was acknowledged, and what was asked for. */
  readonly acknowledged = new Map<number, number>();
  readonly asked = new Map<number, number>();
  #offset = 0;
  #partitions = 4;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  async run(): Promise<void> {
    await this.at.start();
    for (let step = 0; step < STEPS; step++) {
      await this.#step();
      await this.at.settle();
      this.#checkOwners();
    }
    await this.#heal();
    for (const coordinator of this.at.all.values()) coordinator.stop(new BarnabasError('BROKER_NOT_AVAILABLE', 'end'));
    await this.at.settle();
  }

  async #step(): Promise<void> {
    const { at, random } = this;
    const member = this.members[random.below(MEMBERS)];
    if (member === undefined) return;
    const dice = random.below(100);
    if (dice < 40) this.#beat(member, random.below(2) * 5_000);
    else if (dice < 60) this.#commit(member);
    else if (dice < 68) this.#fetch();
    else if (dice < 70) this.#leave(member);
    else if (dice < 74) at.partition.commits = !at.partition.commits;
    else if (dice < 82) at.partition.commit();
    else if (dice < 86) this.#refuse();
    else if (dice < 88) this.#grow();
    else if (dice < 95) await at.move(1 + random.below(3), { lost: random.below(2) === 0 });
    else if (dice < 96) await at.move(-1, { lost: random.below(2) === 0 });
    else await at.pass(1 + random.below(3_000));
  }

  #beat(member: Member, waitMs: number): void {
    const { life } = member;
    const request = member.request(this.random.below(20) === 0);
    this.#ask(member, async () => {
      const runner = await this.at.at(this.#anyBroker()).runnerFor('g');
      const response = await runner.heartbeat(request, { waitMs });
      if (member.life === life) member.apply(response);
    });
  }

  #commit(member: Member): void {
    if (member.owned.length === 0) return;
    const { id: memberId, epoch: memberEpoch, incarnation } = member;
    const offsets = member.owned.map((one) => ({ ...one, offset: ++this.#offset, leaderEpoch: -1, metadata: '' }));
    for (const { partition, offset } of offsets) this.asked.set(partition, offset);
    const request = { groupId: 'g', memberId, memberEpoch, incarnation, offsets };
    this.#ask(member, async () => {
      const runner = await this.at.at(this.#anyBroker()).runnerFor('g');
      const outcomes = await runner.request((shard, now, image) => shard.commitOffsets(request, now, image));
      for (const [index, { error }] of outcomes.entries()) {
        const { partition = -1, offset = -1 } = offsets[index] ?? {};
        if (error === undefined) this.acknowledged.set(partition, Math.max(offset, this.#acknowledged(partition)));
        else if (error.errorName !== 'STALE_MEMBER_EPOCH') throw error;
      }
    });
  }

  #fetch(): void {
    const before = new Map(this.acknowledged);
    this.#ask(undefined, async () => {
      const runner = await this.at.at(this.#anyBroker()).runnerFor('g');
      const claim = { groupId: 'g', memberId: '', memberEpoch: -1, incarnation: 0 };
      this.#checkFetched(await runner.request((shard) => shard.fetchOffsets(claim)), before);
    });
  }

  #checkFetched(
    fetched: readonly { readonly partition: number; readonly offset: number }[],
    before: ReadonlyMap<number, number>,
  ): void {
    const found = new Map(fetched.map(({ partition, offset }) => [partition, offset]));
    for (const [partition, offset] of before) {
      if ((found.get(partition) ?? -1) < offset) {
        throw new InvariantError('K2', { partition, acknowledged: offset, fetched: found.get(partition) });
      }
    }
    for (const [partition, offset] of found) {
      if (offset > (this.asked.get(partition) ?? -1)) throw new InvariantError('K3', { partition, offset });
    }
  }

  #leave(member: Member): void {
    if (member.epoch === 0) return;
    const { id: memberId, incarnation } = member;
    // It stops first, whatever becomes of the word.
    member.beginAnew();
    this.#ask(undefined, async () => {
      const runner = await this.at.at(this.#anyBroker()).runnerFor('g');
      await runner.heartbeat({ groupId: 'g', memberId, memberEpoch: -1, incarnation }, { waitMs: 0 });
    });
  }

  #refuse(): void {
    const { partition } = this.at;
    const refusal = new BarnabasError('NOT_ENOUGH_REPLICAS', 'one is not enough');
    partition.refusal = partition.refusal === undefined ? refusal : undefined;
    partition.appendsLeft = this.random.below(3);
  }

  #grow(): void {
    if (this.#partitions >= 9) return;
    this.#partitions += 1;
    this.at.tell(this.at.metadata.grow('orders', this.#partitions));
  }

  /** Mostly whoever leads, sometimes one that does not. */
  #anyBroker(): number {
    const { leader } = this.at;
    return leader === -1 || this.random.below(10) === 0 ? 1 + this.random.below(3) : leader;
  }

  #ask(member: Member | undefined, run: () => Promise<void>): void {
    const { life } = member ?? { life: 0 };
    run().catch((error: unknown) => {
      if (!(error instanceof BarnabasError)) {
        this.at.faults.push(error instanceof Error ? error : new Error(String(error)));
        return;
      }
      if (PASSED_OVER.has(error.errorName) || error.errorName === 'BROKER_NOT_AVAILABLE') return;
      const isOver = error.errorName === 'UNKNOWN_MEMBER_ID' || error.errorName === 'FENCED_MEMBER_EPOCH';
      if (!isOver) this.at.faults.push(error);
      else if (member?.life === life) member.beginAnew();
    });
  }

  #acknowledged(partition: number): number {
    return this.acknowledged.get(partition) ?? -1;
  }

  #checkOwners(): void {
    const owners = new Map<string, string>();
    for (const { id, owned } of this.members) {
      for (const { topicId, partition } of owned) {
        const key = `${topicId}/${partition}`;
        const other = owners.get(key);
        if (other !== undefined) throw new InvariantError('K1', { partition, one: other, other: id });
        owners.set(key, id);
      }
    }
  }

  async #heal(): Promise<void> {
    const { at } = this;
    at.partition.refusal = undefined;
    at.partition.commits = true;
    at.partition.commit();
    await at.move(1);
    await at.pass(5_000);
    for (let round = 0; round < 12; round++) {
      for (const member of this.members) {
        this.#beat(member, 0);
        await at.settle();
      }
      this.#checkOwners();
    }
    const owned = this.members.reduce((sum, member) => sum + member.owned.length, 0);
    if (owned !== this.#partitions) throw new InvariantError('K4', { owned, partitions: this.#partitions });
    const { shard } = await at.at().runnerFor('g');
    shard.checkAll();
    this.#fetch();
    await at.settle();
  }
}

test(`${SEEDS} lives`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    await new Life(seed).run().catch((error: unknown) => {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    });
  }
}, 60_000);
