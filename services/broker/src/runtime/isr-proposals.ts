/**
 * Brings what leaders here propose as in-sync sets to the controller: what comes together goes
 * together, one call at a time. Says what became of each; what that means is the core's business.
 *
 * An attempt counts as sent from the moment it leaves this queue, and its outcome as unknown whenever
 * the call as a whole fails.
 * Protocol: docs/protocols/replication.md, section 4, "Proposing".
 */
import type { Logger, Timer, Timers } from '@barnabas/common';
import type { ControllerClient } from '@barnabas/metadata/follower';
import { BarnabasError, errorFromProto, toBarnabasError } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import type { IsrAnswer, IsrProposal } from '../core/index.js';
import { growingPauseMs } from './growing-pause.js';
import type { ReplicaDriver, ReplicaPartition } from './replica-driver.js';

export interface IsrProposalsOptions {
  readonly nodeId: number;
  readonly driver: ReplicaDriver;
  readonly controller: Pick<ControllerClient, 'alterPartition'>;
  /** Of this broker's registration; undefined while there is none. */
  readonly brokerEpoch: () => number | undefined;
  /** request.timeout.ms. */
  readonly timeoutMs: number;
  readonly timers: Timers;
  readonly logger: Logger;
}

/** Before a proposal is sent again: the first pause, and the longest while calls go on failing. */
const PAUSE = { firstMs: 50, longestMs: 1_000 };
const MAX_PARTITIONS = 1_000;

export class IsrProposals {
  readonly #queue = new Map<ReplicaPartition, IsrProposal>();
  readonly #abort = new AbortController();
  #isSending = false;
  #failures = 0;
  #timer: Timer | undefined;
  #isDue = false;

  constructor(private readonly options: IsrProposalsOptions) {}

  propose(partition: ReplicaPartition, proposal: IsrProposal, again: boolean): void {
    if (this.#abort.signal.aborted) return;
    this.#queue.set(partition, proposal);
    if (again) this.#sendLater();
    else this.#sendSoon();
  }

  stop(): void {
    this.#abort.abort();
    this.#timer?.cancel();
    this.#queue.clear();
  }

  #sendSoon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    void Promise.resolve().then(() => {
      this.#isDue = false;
      this.#send();
    });
  }

  #sendLater(): void {
    this.#timer ??= this.options.timers.after(growingPauseMs(PAUSE, this.#failures + 1), () => {
      this.#timer = undefined;
      this.#send();
    });
  }

  #send(): void {
    if (this.#isSending || this.#abort.signal.aborted || this.#queue.size === 0) return;
    const brokerEpoch = this.options.brokerEpoch();
    if (brokerEpoch === undefined) {
      this.#sendLater();
      return;
    }
    const sent = this.#take();
    if (sent.length === 0) return;
    this.#isSending = true;
    void this.#call(brokerEpoch, sent).finally(() => {
      this.#isSending = false;
      if (this.#queue.size > 0 && this.#timer === undefined) this.#sendSoon();
    });
  }

  /** What is still wanted, oldest first. */
  #take(): [ReplicaPartition, IsrProposal][] {
    const taken: [ReplicaPartition, IsrProposal][] = [];
    for (const [partition, proposal] of this.#queue) {
      this.#queue.delete(partition);
      const isWanted = partition.log.kind !== 'removed' && partition.leading?.isr.pending === proposal;
      if (isWanted) taken.push([partition, proposal]);
      if (taken.length === MAX_PARTITIONS) break;
    }
    return taken;
  }

  async #call(brokerEpoch: number, sent: readonly [ReplicaPartition, IsrProposal][]): Promise<void> {
    const { nodeId: brokerId, controller, driver, timeoutMs, logger } = this.options;
    const request = { brokerId, brokerEpoch, partitions: sent.map(([at, proposal]) => entryOf(at, proposal)) };
    let answers: readonly IsrAnswer[];
    try {
      const { signal } = this.#abort;
      const { results } = await controller.alterPartition(request, { timeoutMs, signal });
      if (results.length !== sent.length) throw new BarnabasError('UNKNOWN_SERVER_ERROR', 'an answer is missing');
      answers = results.map((result, index) => this.#answerOf(result, sent[index]?.[0]));
      this.#failures = 0;
    } catch (caught) {
      if (this.#abort.signal.aborted) return;
      this.#failures += 1;
      logger.debug('In-sync sets could not be proposed', {
        partitions: sent.length,
        error: toBarnabasError(caught).message,
      });
      answers = sent.map(() => ({ kind: 'unknown' }));
    }
    for (const [index, [partition, proposal]] of sent.entries()) {
      driver.isrAnswered(partition, proposal, answers[index] ?? { kind: 'unknown' });
    }
  }

  #answerOf(result: internal.AlterPartitionResult, partition: ReplicaPartition | undefined): IsrAnswer {
    if (result.error === undefined) {
      const { leader, leaderEpoch, isr, partitionEpoch, eligibleLeaderReplicas } = result;
      return { kind: 'committed', leader, leaderEpoch, isr, eligibleLeaderReplicas, partitionEpoch };
    }
    const error = errorFromProto(result.error);
    this.options.logger.debug('A proposed in-sync set was not taken', {
      topic: partition?.topic,
      partition: partition?.partition,
      error: error.message,
    });
    return meaningOf(error);
  }
}

function entryOf({ topicId, partition }: ReplicaPartition, proposal: IsrProposal): internal.AlterPartitionEntry {
  const { leaderEpoch, partitionEpoch, isr } = proposal;
  return { topicId, partition, leaderEpoch, partitionEpoch, isr: [...isr] };
}

function meaningOf({ errorName }: BarnabasError): IsrAnswer {
  switch (errorName) {
    case 'INVALID_UPDATE_VERSION':
    case 'FENCED_LEADER_EPOCH':
    case 'NEW_LEADER_ELECTED':
    case 'UNKNOWN_TOPIC_ID':
    case 'UNKNOWN_TOPIC_OR_PARTITION':
      return { kind: 'superseded' };
    case 'INELIGIBLE_REPLICA':
    case 'INVALID_REQUEST':
      return { kind: 'refused' };
    default:
      return { kind: 'unknown' };
  }
}
