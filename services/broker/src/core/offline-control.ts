/**
 * Replicas whose log has failed: told to the controller, and used again, or made anew, once nobody
 * counts on what they held. Never before: a log that has lost something must not go on in a leader
 * epoch in which it has spoken, and nobody may be admitted for what an earlier log held.
 *
 *   failed    -> reported   the controller has answered
 *   reported  -> reviving   the metadata log shows, at the offset of that answer or later, the replica out
 *                           of ISR and eligible replicas, another leader, and a leader epoch that began since
 * An only replica is not reported: nobody could lead instead, and what it still holds is for a person.
 * Protocol: docs/protocols/replication.md, section 9; races 2 and 10.
 */
import type { Emit } from './events.js';
import type { Partition } from './partition.js';

interface Failure {
  /** The log cannot be opened again as it is. */
  corrupt: boolean;
  /** In which the replica has spoken last. */
  leaderEpoch: number;
  /** The controller has taken note, as of this metadata offset. */
  reportedOffset: number | undefined;
  /** Failures in a row. */
  attempts: number;
  isOffline: boolean;
}

export class OfflineControl<Token> {
  readonly #failures = new Map<Partition<Token>, Failure>();
  #started = false;
  #metadataOffset = -1;

  constructor(private readonly emit: Emit<Token>) {}

  /** From here on the controller is told. */
  start(): void {
    this.#started = true;
    for (const [partition, failure] of this.#failures) if (failure.isOffline) this.#report(partition, failure);
  }

  /** Something is offline and may come back. */
  get isConcerned(): boolean {
    return this.#failures.size > 0;
  }

  failed(partition: Partition<Token>, corrupt: boolean): void {
    const attempts = (this.#failures.get(partition)?.attempts ?? 0) + 1;
    const { leaderEpoch } = partition;
    const failure = { corrupt, leaderEpoch, reportedOffset: undefined, attempts, isOffline: true };
    this.#failures.set(partition, failure);
    this.#report(partition, failure);
  }

  removed(partition: Partition<Token>): void {
    this.#failures.delete(partition);
  }

  /** The controller has answered a report that was made in this leader epoch. */
  reported(partition: Partition<Token>, metadataOffset: number): void {
    const failure = this.#failures.get(partition);
    if (failure === undefined || !failure.isOffline) return;
    failure.reportedOffset = metadataOffset;
    this.#consider(partition, failure);
  }

  /** The metadata log has been applied up to this offset. */
  caughtUp(metadataOffset: number): void {
    this.#metadataOffset = metadataOffset;
    for (const [partition, failure] of this.#failures) this.#consider(partition, failure);
  }

  /** The replica is whole again: the next failure is a first one. */
  inSync(partition: Partition<Token>): void {
    if (this.#failures.get(partition)?.isOffline === false) this.#failures.delete(partition);
  }

  #consider(partition: Partition<Token>, failure: Failure): void {
    const { reportedOffset, isOffline } = failure;
    if (!isOffline) {
      if (partition.isr.includes(partition.nodeId)) this.inSync(partition);
      return;
    }
    if (reportedOffset === undefined || this.#metadataOffset < reportedOffset) return;
    if (!isCountedOn(partition) && partition.leaderEpoch > failure.leaderEpoch && leadsElsewhere(partition)) {
      failure.isOffline = false;
      partition.opening();
      const { corrupt, attempts } = failure;
      this.emit({ type: 'reviveLog', partition, corrupt, attempt: attempts });
      return;
    }
    // Told in an earlier epoch than the controller's, it may have been passed over; and who was the last
    // one may not be any more.
    if (isCountedOn(partition) && leadsElsewhere(partition)) this.#report(partition, failure);
  }

  #report(partition: Partition<Token>, failure: Failure): void {
    if (!this.#started || partition.replicas.length === 1) return;
    failure.reportedOffset = undefined;
    this.emit({ type: 'reportOffline', partition, leaderEpoch: partition.leaderEpoch });
  }
}

function isCountedOn<Token>({ nodeId, isr, eligibleLeaderReplicas }: Partition<Token>): boolean {
  return isr.includes(nodeId) || eligibleLeaderReplicas.includes(nodeId);
}

function leadsElsewhere<Token>({ leader, nodeId }: Partition<Token>): boolean {
  return leader !== -1 && leader !== nodeId;
}
