/**
 * The controller's rules for one partition, as small as they can be: what replication relies on
 * (docs/protocols/replication.md, section 6) and nothing else. Every state it has had is kept, for brokers to
 * hear of it whenever they do.
 */
import type { Assignment } from '../assignment.js';
import type { IsrAnswer, IsrProposal } from '../isr.js';
import type { BrokerView } from '../leader-state.js';

export interface ModelState {
  readonly assignment: Assignment;
  readonly brokers: ReadonlyMap<number, BrokerView>;
}

export class ModelController {
  readonly states: ModelState[] = [];
  #brokers = new Map<number, BrokerView>();
  #assignment: Assignment;
  /** Replicas that their brokers cannot use. */
  readonly #offline = new Set<number>();
  #epochs = 0;

  constructor(
    replicas: readonly number[],
    readonly minIsr: number,
  ) {
    for (const id of replicas) this.#brokers.set(id, { epoch: ++this.#epochs, serves: true });
    this.#assignment = {
      topic: 'orders',
      topicId: 'id-1',
      partition: 0,
      replicas,
      isr: replicas,
      leader: replicas[0] ?? -1,
      leaderEpoch: 0,
      partitionEpoch: 0,
      eligibleLeaderReplicas: [],
      config: { 'min.insync.replicas': minIsr },
    };
    this.#publish();
  }

  get assignment(): Assignment {
    return this.#assignment;
  }

  /** First state that brokers have not been told of. */
  get offset(): number {
    return this.states.length;
  }

  broker(id: number): BrokerView {
    const view = this.#brokers.get(id);
    if (view === undefined) throw new Error(`there is no broker ${id}`);
    return view;
  }

  fence(id: number): void {
    if (!this.broker(id).serves) return;
    this.#brokers.set(id, { ...this.broker(id), serves: false });
    this.#elect(this.#assignment.isr, this.#assignment.leader === id);
  }

  unfence(id: number): void {
    if (this.broker(id).serves) return;
    this.#brokers.set(id, { ...this.broker(id), serves: true });
    this.#elect(this.#assignment.isr, false);
  }

  /** A broker starts again: fenced under a new epoch, and whatever it led has a later one. */
  register(id: number): number {
    const led = this.#assignment.leader === id;
    this.#offline.delete(id);
    this.#brokers.set(id, { epoch: ++this.#epochs, serves: false });
    this.#elect(this.#assignment.isr, led);
    return this.#epochs;
  }

  alterPartition(sender: number, brokerEpoch: number, proposal: IsrProposal): IsrAnswer {
    const { leader, leaderEpoch, partitionEpoch } = this.#assignment;
    if (this.broker(sender).epoch !== brokerEpoch) return { kind: 'unknown' };
    if (proposal.leaderEpoch !== leaderEpoch || leader !== sender) return { kind: 'superseded' };
    if (proposal.partitionEpoch !== partitionEpoch) return { kind: 'superseded' };
    for (const member of proposal.isr) {
      const view = this.broker(member.brokerId);
      const isSame = member.brokerEpoch === -1 || member.brokerEpoch === view.epoch;
      if (!view.serves || !isSame) return { kind: 'refused' };
    }
    for (const { brokerId } of proposal.isr) this.#offline.delete(brokerId);
    this.#elect(
      proposal.isr.map(({ brokerId }) => brokerId),
      false,
    );
    const { isr, eligibleLeaderReplicas } = this.#assignment;
    return {
      kind: 'committed',
      leader: this.#assignment.leader,
      leaderEpoch: this.#assignment.leaderEpoch,
      isr,
      eligibleLeaderReplicas,
      partitionEpoch: this.#assignment.partitionEpoch,
    };
  }

  /** Removes a replica and adds it again, as two changes. */
  replace(id: number): void {
    const { replicas, isr, leader } = this.#assignment;
    if (leader === id || isr.includes(id)) return;
    const eligibleLeaderReplicas = this.#assignment.eligibleLeaderReplicas.filter((one) => one !== id);
    if (eligibleLeaderReplicas.length < this.#assignment.eligibleLeaderReplicas.length) return;
    this.#change({ replicas: replicas.filter((one) => one !== id) });
    this.#change({ replicas });
  }

  /** A broker cannot use its replica. */
  reportOffline(id: number): number {
    this.#offline.add(id);
    this.#elect(this.#assignment.isr, true);
    return this.offset;
  }

  /** Elections and eligible replicas (KIP-966). `anew`: a leader epoch begins, also under the same leader. */
  #elect(wanted: readonly number[], anew: boolean): void {
    const { replicas, eligibleLeaderReplicas: elr, isr: before, leader, leaderEpoch } = this.#assignment;
    const serving = (id: number) => this.broker(id).serves && !this.#offline.has(id);
    let isr = wanted.filter((id) => replicas.includes(id) && serving(id));
    let eligible = [...new Set([...elr, ...before])].filter((id) => !isr.includes(id) && !this.#offline.has(id));
    let next = leader;
    if (leader === -1 || !isr.includes(leader)) {
      next = isr[0] ?? eligible.find(serving) ?? -1;
      if (next !== -1 && !isr.includes(next)) isr = [next];
    }
    // The last ones stay where nobody else is known to have everything.
    if (isr.length === 0) isr = before.filter((id) => !this.#offline.has(id));
    if (isr.length === 0) isr = [...before];
    eligible = isr.length >= Math.min(this.minIsr, replicas.length) ? [] : eligible.filter((id) => !isr.includes(id));
    const epoch = next !== leader || anew ? leaderEpoch + 1 : leaderEpoch;
    this.#change({ isr, eligibleLeaderReplicas: eligible, leader: next, leaderEpoch: epoch });
  }

  #change(change: Partial<Assignment>): void {
    const { partitionEpoch } = this.#assignment;
    this.#assignment = { ...this.#assignment, ...change, partitionEpoch: partitionEpoch + 1 };
    this.#publish();
  }

  #publish(): void {
    this.states.push({ assignment: this.#assignment, brokers: new Map(this.#brokers) });
  }
}
