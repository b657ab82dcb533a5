/** A cluster with groups in it, and what is known of them from outside. */
import type { GroupShard } from '@barnabas/broker/parts';
import { CONSUMER_OFFSETS_TOPIC } from '@barnabas/protocol';
import { Cluster } from '../cluster/cluster.js';
import type { Onlooker } from '../cluster/cluster.js';
import { planClusterOfGroups, planGroups } from './plan.js';
import type { GroupsPlan } from './plan.js';
import type { GroupPlant } from './plants/plant.js';
import { AnswerChecks } from './truth/answer-checks.js';
import { GroupHistory } from './truth/group-history.js';
import { Ledger } from './truth/ledger.js';
import { RecordChecks } from './truth/record-checks.js';
import { Rewinds } from './truth/rewinds.js';

/** Something of a member that lives in the simulator. */
export interface LifeOfAMember {
  readonly groupId: string;
  readonly memberId: string;
  readonly incarnation: number;
}

export class GroupsWorld extends Cluster {
  readonly groups: GroupsPlan;
  readonly history: GroupHistory;
  readonly ledger: Ledger;
  /** Lives that go on, liars aside. */
  readonly lives = new Set<LifeOfAMember>();
  /** Of every topic that there was, by its id. */
  readonly topicNames = new Map<string, string>();

  readonly #planted = new WeakSet<GroupShard>();

  constructor(
    seed: number,
    override readonly plant: GroupPlant,
  ) {
    const onlooker: { -readonly [K in keyof Onlooker]: Onlooker[K] } = {};
    super(seed, plant, planClusterOfGroups, onlooker);
    this.groups = planGroups(this.dice, plant.tricks ?? []);
    const rewinds = new Rewinds();
    const checks = new RecordChecks(rewinds);
    const history = new GroupHistory((record, before, after) => checks.check(record, before, after));
    const count = (what: string) => this.tally.count(what);
    this.history = history;
    this.ledger = new Ledger({
      ...{ truth: this.truth, count },
      image: (groupId) => history.image(groupId),
      isMortal: (topic) => this.plan.topics.some(({ name, isMortal }) => name === topic && isMortal),
    });
    const answers = new AnswerChecks({
      ...{ history, rewinds, count },
      topicId: (name) => this.image?.topics.named(name)?.id,
      goesOn: (groupId, memberId, incarnation) =>
        [...this.lives].some(
          (one) => one.groupId === groupId && one.memberId === memberId && one.incarnation === incarnation,
        ),
    });
    onlooker.heard = (envelope) => answers.heard(envelope);
    onlooker.committed = ({ topic, topicId }, { bytes }) => {
      this.topicNames.set(topicId, topic);
      if (topic === CONSUMER_OFFSETS_TOPIC) history.take(bytes);
    };
  }

  /** After every event. */
  override look(): void {
    super.look();
    const { plant } = this;
    if (plant.shard === undefined) return;
    for (const shard of this.#shards()) {
      if (this.#planted.has(shard)) continue;
      this.#planted.add(shard);
      plant.shard(shard, this);
    }
  }

  *#shards(): Iterable<GroupShard> {
    for (const { node, isServing } of this.brokers) {
      if (node === undefined || !isServing) continue;
      for (const running of node.groups.runners()) if (running.kind === 'active') yield running.runner.shard;
    }
  }

  /** Who coordinates the groups of this partition of __consumer_offsets; undefined: nobody now. */
  coordinators(): number[] {
    const partitions = this.image?.topics.named(CONSUMER_OFFSETS_TOPIC)?.partitions ?? [];
    return partitions.map(({ leader }) => leader).filter((leader) => leader > 0);
  }
}
