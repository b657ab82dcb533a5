/**
 * Tells the controller of replicas that cannot be used, again and again until it has answered: whoever
 * waits for this partition waits for that.
 *
 * Protocol: docs/protocols/replication.md, section 9.
 */
import type { Logger, Timer, Timers } from '@barnabas/common';
import type { ControllerClient } from '@barnabas/metadata/follower';
import { toBarnabasError } from '@barnabas/protocol';
import type { ReplicaDriver, ReplicaPartition } from './replica-driver.js';

export interface OfflineReportsOptions {
  readonly nodeId: number;
  readonly driver: ReplicaDriver;
  readonly controller: Pick<ControllerClient, 'reportOfflineReplicas'>;
  /** Of this broker's registration; undefined while there is none. */
  readonly brokerEpoch: () => number | undefined;
  /** request.timeout.ms. */
  readonly timeoutMs: number;
  readonly timers: Timers;
  readonly logger: Logger;
}

const PAUSE_MS = 500;
const MAX_REPLICAS = 10_000;

export class OfflineReports {
  /** What has to be told, with the leader epoch that the broker knew. */
  readonly #queue = new Map<ReplicaPartition, number>();
  readonly #abort = new AbortController();
  #isDue = false;
  #isSending = false;
  #timer: Timer | undefined;

  constructor(private readonly options: OfflineReportsOptions) {}

  report(partition: ReplicaPartition, leaderEpoch: number): void {
    this.#queue.set(partition, leaderEpoch);
    if (this.#isDue) return;
    this.#isDue = true;
    // A disk that fails takes many with it: they go together.
    void Promise.resolve().then(() => {
      this.#isDue = false;
      this.#send();
    });
  }

  stop(): void {
    this.#abort.abort();
    this.#timer?.cancel();
    this.#queue.clear();
  }

  #send(): void {
    if (this.#isSending || this.#timer !== undefined || this.#queue.size === 0) return;
    const brokerEpoch = this.options.brokerEpoch();
    if (brokerEpoch === undefined) {
      this.#sendLater();
      return;
    }
    const sent = [...this.#queue].slice(0, MAX_REPLICAS);
    for (const [partition] of sent) this.#queue.delete(partition);
    this.#isSending = true;
    void this.#call(brokerEpoch, sent).finally(() => {
      this.#isSending = false;
      this.#send();
    });
  }

  async #call(brokerEpoch: number, sent: readonly [ReplicaPartition, number][]): Promise<void> {
    const { nodeId: brokerId, controller, driver, timeoutMs, logger } = this.options;
    const replicas = sent.map(([{ topicId, partition }, leaderEpoch]) => ({ topicId, partition, leaderEpoch }));
    try {
      const { signal } = this.#abort;
      const request = { brokerId, brokerEpoch, replicas };
      const { metadataOffset } = await controller.reportOfflineReplicas(request, { timeoutMs, signal });
      for (const [partition] of sent) driver.offlineReported(partition, metadataOffset);
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      logger.warn('The controller could not be told of offline replicas', {
        action: 'nothing, it is told again; if it recurs, look at the controllers',
        replicas: sent.length,
        error: toBarnabasError(error).message,
      });
      for (const [partition, leaderEpoch] of sent) {
        if (!this.#queue.has(partition)) this.#queue.set(partition, leaderEpoch);
      }
      this.#sendLater();
    }
  }

  #sendLater(): void {
    if (this.#abort.signal.aborted) return;
    this.#timer = this.options.timers.after(PAUSE_MS, () => {
      this.#timer = undefined;
      this.#send();
    });
  }
}
