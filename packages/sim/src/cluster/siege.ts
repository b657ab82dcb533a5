/**
 * One partition is besieged: a dozen troubles befall whoever leads or follows it at that moment, singly or
 * several at once, with pauses from a millisecond to seconds. Races of replication need several things to
 * happen to the same few brokers within one round trip; troubles that fall on the whole cluster seldom
 * meet there.
 */
import { NO_LEADER } from '@barnabas/metadata';
import type { ClusterAdmin } from './clients/admin.js';
import type { Cluster } from './cluster.js';
import type { BrokerNode } from './nodes/broker-node.js';
import type { Outages } from './outages.js';

const MAX_STRIKES = 12;
const LONGEST_PAUSE_MS = 1500;

/** Calls of a leader to its controllers of which one may be late. */
const CALLS = ['AlterPartition', 'AlterPartition', 'BrokerHeartbeat', 'ReportOfflineReplicas'];

interface At {
  readonly topic: string;
  readonly partition: number;
}

interface Besieged {
  readonly leader: BrokerNode;
  readonly follower: BrokerNode;
}

export function besiege(cluster: Cluster, outages: Outages, admin: ClusterAdmin): void {
  const at = cluster.dice.pick(cluster.partitions());
  cluster.trace.note(`  ${at.topic}-${at.partition} is besieged`);
  new Siege(cluster, outages, admin, at).go(cluster.dice.between(4, MAX_STRIKES));
}

class Siege {
  constructor(
    private readonly cluster: Cluster,
    private readonly outages: Outages,
    private readonly admin: ClusterAdmin,
    private readonly at: At,
  ) {}

  go(strikes: number): void {
    const { cluster } = this;
    if (strikes === 0) return;
    cluster.troubleAfter(this.#ms(1, LONGEST_PAUSE_MS), 'siege', () => {
      const target = this.#target();
      for (let blows = cluster.dice.pick([1, 1, 2, 3]); blows > 0 && target !== undefined; blows--)
        this.#strike(target);
      this.go(strikes - 1);
    });
  }

  #target(): Besieged | undefined {
    const { brokers, image, dice } = this.cluster;
    const known = image?.topics.named(this.at.topic)?.partitions[this.at.partition];
    if (known === undefined || known.leader === NO_LEADER || known.replicas.length < 2) return undefined;
    const leader = brokers[known.leader - 1];
    const follower = brokers[dice.pick(known.replicas.filter((id) => id !== known.leader)) - 1];
    return leader === undefined || follower === undefined ? undefined : { leader, follower };
  }

  #strike(target: Besieged): void {
    const { dice, trace, tally } = this.cluster;
    const blows = this.#blows(target);
    const [what, strike] = dice.pick(blows);
    trace.note(
      `  siege of ${this.at.topic}-${this.at.partition}: ${what} (${target.leader.name}, ${target.follower.name})`,
    );
    tally.count('blows of sieges');
    strike();
  }

  #blows(target: Besieged): readonly (readonly [what: string, strike: () => void])[] {
    const { outages, admin, cluster, at } = this;
    const { leader, follower } = target;
    const { brokers, controllers, network, dice } = cluster;
    return [
      ['they part', () => outages.separate([leader], [follower], this.#ms(20, 5000))],
      ['the follower is alone', () => outages.separate([follower], brokers, this.#ms(20, 5000))],
      ['the leader has no controllers', () => outages.separate([leader], controllers, this.#ms(50, 5000))],
      ['controllers are slow', () => outages.slow(leader, controllers, this.#ms(50, 3000), this.#ms(100, 5000))],
      ['all brokers are slow', () => outages.slow(leader, brokers, this.#ms(20, 800), this.#ms(100, 3000))],
      ['they are slow', () => outages.slow(leader, [follower], this.#ms(20, 800), this.#ms(100, 3000))],
      ['a call is held up', () => this.#holdUp(leader, controllers, dice.pick(CALLS), this.#ms(300, 6000))],
      ['they part while a change of the ISR is late', () => this.#partWhileLate(target)],
      ['a word to followers is held up', () => this.#holdUpSome(leader)],
      ['a connection breaks', () => network.resetBetween(leader.name, dice.pick(controllers).name)],
      ['the leader goes', () => this.#lose(leader)],
      ['the follower goes', () => this.#lose(follower)],
      ['another is to lead', () => admin.lead(at, dice.chance(0.7) ? follower.id : undefined)],
      ['another is to lead in the midst', () => this.#leadInTheMidst(target)],
    ];
  }

  /** What the leader has just appended reaches some of its followers soon, and others late. */
  #holdUpSome(leader: BrokerNode): void {
    const { dice, brokers } = this.cluster;
    this.#holdUp(
      leader,
      brokers.filter(() => dice.chance(0.5)),
      'Replicate answer',
      this.#ms(20, 2000),
    );
  }

  /** What the leader asks for may be done when it is not true any more. */
  #partWhileLate({ leader, follower }: Besieged): void {
    const { cluster, outages } = this;
    this.#holdUp(leader, cluster.controllers, 'AlterPartition', this.#ms(300, 6000));
    cluster.troubleAfter(this.#ms(50, 2000), 'they part', () => {
      outages.separate([leader], [follower], this.#ms(100, 5000));
    });
  }

  /** Whoever leads next may lack what the leader and another follower have; or that is still on its way. */
  #leadInTheMidst({ leader, follower }: Besieged): void {
    const { cluster, admin, at } = this;
    for (const broker of cluster.brokers) {
      if (cluster.dice.chance(0.7)) this.#holdUp(leader, [broker], 'Replicate answer', this.#ms(100, 2000));
    }
    cluster.troubleAfter(this.#ms(1, 200), 'another leads', () => admin.lead(at, follower.id));
  }

  #holdUp(from: BrokerNode, to: Cluster['nodes'], kind: string, extraMs: number): void {
    for (const { name } of to) this.cluster.network.links.holdUp(from.name, name, kind, extraMs);
  }

  #lose(broker: BrokerNode): void {
    const { dice, nodes, scheduler } = this.cluster;
    const how = dice.below(5);
    if (how === 0) broker.losePower(dice.chance(0.5));
    else if (how === 1) broker.freeze(this.#ms(50, 4000));
    else if (how === 2) this.outages.separate([broker], nodes, this.#ms(50, 4000));
    else broker.kill();
    // Who is to be lost a second time must be back before long.
    if (dice.chance(0.5)) scheduler.after(this.#ms(20, 2000), `${broker.name} is wanted`, () => broker.start());
  }

  /** As likely between 1 and 10 as between 100 and 1,000. */
  #ms(least: number, most: number): number {
    return Math.round(least * (most / least) ** this.cluster.dice.float());
  }
}
