/**
 * The streams of this broker to all the leaders that it follows: one link for each. What the core
 * orders of a partition goes to the link of its leader.
 */
import type { IsrProposal } from '../core/index.js';
import type { ReplicaPartition } from '../runtime/replica-driver.js';
import type { Question, ReplicationPort } from '../runtime/replication-port.js';
import { FollowerLink } from './follower-link.js';
import type { FollowerLinkOptions } from './follower-link.js';

export interface FollowerSideOptions extends FollowerLinkOptions {
  /** Brings a proposal to the controller. */
  readonly propose: (partition: ReplicaPartition, proposal: IsrProposal, again: boolean) => void;
  /** Tells the controller of a replica that cannot be used. */
  readonly reportOffline: (partition: ReplicaPartition, leaderEpoch: number) => void;
}

export class FollowerSide implements ReplicationPort {
  readonly #links = new Map<number, FollowerLink>();
  #sessions = 0;

  constructor(private readonly options: FollowerSideOptions) {}

  attach(partition: ReplicaPartition, leader: number): void {
    let link = this.#links.get(leader);
    if (link === undefined) {
      link = new FollowerLink(leader, this.options, () => ++this.#sessions);
      this.#links.set(leader, link);
    }
    link.attach(partition);
  }

  detach(partition: ReplicaPartition, leader: number): void {
    const link = this.#links.get(leader);
    link?.detach(partition);
    if (link?.partitions === 0) this.#links.delete(leader);
  }

  ask(partition: ReplicaPartition, handle: number, question: Question): void {
    this.#links.get(partition.leader)?.ask(partition, handle, question);
  }

  acknowledge(partition: ReplicaPartition, handle: number): void {
    this.#links.get(partition.leader)?.acknowledge(partition, handle);
  }

  reportOffline(partition: ReplicaPartition, leaderEpoch: number): void {
    this.options.reportOffline(partition, leaderEpoch);
  }

  propose(partition: ReplicaPartition, proposal: IsrProposal, again: boolean): void {
    this.options.propose(partition, proposal, again);
  }

  /** The metadata log has said something: of this broker's registration, of in-sync sets, of throttles. */
  reconsider(): void {
    const epoch = this.options.brokerEpoch();
    for (const link of this.#links.values()) {
      if (epoch !== undefined) link.registeredAs(epoch);
      link.reconsiderThrottles();
    }
  }

  stop(): void {
    for (const link of this.#links.values()) link.stop();
    this.#links.clear();
  }
}
