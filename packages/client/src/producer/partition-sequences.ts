/**
 * Sequence numbers of one partition of an idempotent producer, as in KIP-98 and KIP-360.
 *
 * A leader takes a batch in only if its base sequence follows the last one it has of this producer id
 * and epoch; it recognises the last five when they come again. So a batch keeps its number over all
 * retries, and numbers may be given anew, in a new epoch, only when no batch with an old one can
 * still be in the log unknown to us.
 *
 * Invariants:
 *   N1  producer id, epoch and sequence together are given to one record only
 *   N2  numbers are given anew only while nothing is on its way, and only where every attempt at the
 *       oldest batch was clearly refused: then it is in no log, and nothing numbered behind it is either.
 *       That a leader does not have a batch proves nothing about another leader's log
 *   N3  while it is unknown whether a batch that failed is in the log, no new number is given
 */
import { assert } from '@barnabas/common';
import type { ProducerState } from '@barnabas/protocol';
import type { ProducerId, ProducerIds } from './producer-ids.js';

const MAX_EPOCH = 2 ** 15 - 1;
const SEQUENCES = 2 ** 31;

/** A sealed batch, as far as numbers go. */
export interface Numbered {
  readonly recordCount: number;
  renumber(state: ProducerState): void;
}

export class PartitionSequences {
  readonly #ids: ProducerIds;
  #id: ProducerId | undefined;
  #next = 0;
  /** A batch that was sent has failed, and it is not clear whether it is in the log. */
  #hasGap = false;
  /** Numbers must be given anew as soon as nothing is on its way. */
  #restart: 'no' | 'next-epoch' | 'new-id' = 'no';
  #staleId: number | undefined;

  constructor(ids: ProducerIds) {
    this.#ids = ids;
  }

  /** There is no producer id yet, or no longer: nothing may be sent. Asks for one. */
  get isBlocked(): boolean {
    return this.#id === undefined && this.#ids.get(this.#staleId) === undefined;
  }

  /** Whether `assign` may be called. */
  get mayAssign(): boolean {
    return !this.#hasGap && this.#restart === 'no';
  }

  /** The numbers of the next batch. */
  assign(recordCount: number): ProducerState {
    assert(this.mayAssign, 'no numbers are given while a gap is unresolved');
    const state = { ...this.#current(), baseSequence: this.#next };
    this.#next = sequenceAfter(state, recordCount).baseSequence;
    return state;
  }

  /** The leader has taken a batch in, and so has everything that was numbered before it. */
  accepted(): void {
    this.#hasGap = false;
  }

  /** A batch that was sent has failed. */
  failed(): void {
    this.#hasGap = true;
  }

  /** The leader has lost track of the numbers, or refuses the epoch. */
  restart(how: 'next-epoch' | 'new-id'): void {
    if (this.#restart !== 'new-id') this.#restart = how;
  }

  /** Nothing is on its way, and `resend` is next. */
  drained(resend: readonly Numbered[]): void {
    // With batches still to be sent again a gap resolves itself: the leader takes the next one in, or
    // refuses it, which is when a restart is asked for.
    if (this.#hasGap && resend.length === 0 && this.#restart === 'no') this.#restart = 'next-epoch';
    if (this.#restart === 'no' || this.#id === undefined) return;
    const isNewId = this.#restart === 'new-id' || this.#id.producerEpoch >= MAX_EPOCH;
    if (isNewId) this.#staleId = this.#id.producerId;
    this.#id = isNewId ? this.#ids.get(this.#staleId) : nextEpoch(this.#id);
    this.#hasGap = false;
    this.#restart = 'no';
    this.#next = 0;
    if (this.#id !== undefined) this.#renumber(resend);
  }

  /** There may be a producer id now, for `resend` first. */
  idReady(resend: readonly Numbered[]): void {
    if (this.#id !== undefined || this.isBlocked) return;
    this.#renumber(resend);
  }

  #renumber(batches: readonly Numbered[]): void {
    for (const batch of batches) batch.renumber(this.assign(batch.recordCount));
  }

  #current(): ProducerId {
    this.#id ??= this.#ids.get(this.#staleId);
    assert(this.#id !== undefined, 'there is a producer id when numbers are given');
    return this.#id;
  }
}

function nextEpoch({ producerId, producerEpoch }: ProducerId): ProducerId {
  return { producerId, producerEpoch: producerEpoch + 1 };
}

/** The numbers of what follows `recordCount` records. Sequences begin again at 0 after 2^31 - 1. */
export function sequenceAfter(state: ProducerState, recordCount: number): ProducerState {
  if (state.baseSequence < 0) return state;
  return { ...state, baseSequence: (state.baseSequence + recordCount) % SEQUENCES };
}
