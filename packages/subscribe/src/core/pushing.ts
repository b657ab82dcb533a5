/**
 * Cuts fetched records into parcels while there is credit, a parcel of each partition in its turn.
 *
 * With delivery at most once a parcel is held, its credit taken, until the position behind it is
 * committed; then it is pushed. What is held is bounded, whatever the credit.
 *
 * Invariants:
 *   P1  a record is pushed at most once under each generation of its partition, in offset order
 *   P2  nothing is pushed of a partition that is paused, revoked, or not yet told of
 *   P3  with delivery at most once nothing is pushed whose position is not committed
 */
import { toBarnabasError } from '@barnabas/protocol';
import type { OwnedPartition } from './owned-partition.js';
import type { SessionState } from './session-state.js';
import type { FetchedRecords, Parcel, Push } from './types.js';
import type { BarnabasError } from '@barnabas/protocol';

/** More need not wait for a commit at once. */
const MAX_HELD_BYTES = 1024 * 1024;
const MAX_HELD_PARCELS = 256;

export interface PushingPorts {
  /** A batch that cannot be read: nothing more comes of the partition. */
  onUnreadable(owned: OwnedPartition, error: BarnabasError): void;
  /** All that was fetched has been pushed. */
  onDrained(owned: OwnedPartition, nowMs: number): void;
}

export class Pushing {
  readonly #state: SessionState;
  readonly #ports: PushingPorts;
  /** Those with fetched records. */
  #line: OwnedPartition[] = [];

  constructor(state: SessionState, ports: PushingPorts) {
    this.#state = state;
    this.#ports = ports;
  }

  add(owned: OwnedPartition, records: FetchedRecords): void {
    owned.fetched.push(records);
    this.enter(owned);
  }

  /** The partition has something, or may go on. */
  enter(owned: OwnedPartition): void {
    if (owned.isInLine || !mayPush(owned) || owned.fetched.length === 0) return;
    owned.isInLine = true;
    this.#line.push(owned);
  }

  /** What was fetched is not wanted any more. */
  discard(owned: OwnedPartition): void {
    for (const records of owned.fetched) this.#state.emit({ kind: 'drop', records });
    owned.fetched = [];
  }

  /** The next parcel to write, if there is one now. */
  next(nowMs: number): Push | undefined {
    if (this.#state.isAtMostOnce) return this.#nextHeld(nowMs);
    for (;;) {
      const owned = this.#turn();
      if (owned === undefined) return undefined;
      const parcel = this.#take(owned);
      if (parcel === undefined) continue;
      return this.#push(owned, parcel, nowMs);
    }
  }

  /** With delivery at most once: takes what may be committed next. */
  hold(): void {
    let { bytes, parcels } = this.#heldInAll();
    while (bytes < MAX_HELD_BYTES && parcels < MAX_HELD_PARCELS) {
      const owned = this.#turn();
      if (owned === undefined) return;
      const parcel = this.#take(owned);
      if (parcel === undefined) continue;
      owned.held.push({ parcel, isCommitted: false });
      bytes += parcel.bytes;
      parcels += 1;
    }
  }

  #nextHeld(nowMs: number): Push | undefined {
    for (const owned of this.#state.partitions.values()) {
      const [held] = owned.held;
      if (held?.isCommitted !== true || !mayPush(owned)) continue;
      owned.held.shift();
      return this.#push(owned, held.parcel, nowMs);
    }
    return undefined;
  }

  #push(owned: OwnedPartition, parcel: Parcel, nowMs: number): Push {
    this.#state.pushed(owned, parcel, nowMs);
    if (owned.fetched.length === 0 && owned.held.length === 0) this.#ports.onDrained(owned, nowMs);
    return { partition: owned, parcel };
  }

  /** Whose turn it is; undefined while there is no credit. */
  #turn(): OwnedPartition | undefined {
    while (this.#state.credits.isOpen && !this.#state.isClosing) {
      const owned = this.#line.shift();
      if (owned === undefined) return undefined;
      owned.isInLine = false;
      if (mayPush(owned) && owned.fetched.length > 0) return owned;
    }
    return undefined;
  }

  #take(owned: OwnedPartition): Parcel | undefined {
    const records = owned.fetched[0] as FetchedRecords;
    let parcel: Parcel | undefined;
    try {
      parcel = records.take(this.#state.credits.limits);
    } catch (error) {
      // Broken invariants pass; what has a name is the log's.
      const refusal = namedError(error);
      this.discard(owned);
      this.#ports.onUnreadable(owned, refusal);
      return undefined;
    }
    this.#state.credits.take(parcel);
    owned.position = parcel.nextOffset;
    owned.positionEpoch = parcel.leaderEpoch;
    if (records.isDone) {
      owned.fetched.shift();
      this.#state.emit({ kind: 'drop', records });
    }
    this.enter(owned);
    return parcel;
  }

  #heldInAll(): { bytes: number; parcels: number } {
    let bytes = 0;
    let parcels = 0;
    for (const owned of this.#state.partitions.values()) {
      bytes += owned.heldBytes;
      parcels += owned.held.length;
    }
    return { bytes, parcels };
  }
}

function mayPush(owned: OwnedPartition): boolean {
  return owned.isTold && !owned.isPaused && owned.revocation === undefined;
}

function namedError(error: unknown): BarnabasError {
  const named = toBarnabasError(error);
  if (named !== error) throw error;
  return named;
}
