/**
 * Where partitions are read: fetches, look-ups of ends, seeks, pauses, and what becomes of a fetch that
 * ends.
 *
 * Whatever breaks continuity begins a new generation. What was fetched before it is dropped, what was
 * pushed before it is void: it takes no credit any more, and the client hears by `sought` from where on
 * what it gets counts.
 *
 * Invariants:
 *   R1  `sought` precedes the records that are fetched from the new offset
 *   R2  a fetch begins at the offset behind what was last taken
 */
import { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { assignedMessage, partitionErrorMessage, positionMessage, soughtMessage } from './messages.js';
import type { OwnedPartition } from './owned-partition.js';
import { Pushing } from './pushing.js';
import type { SessionState } from './session-state.js';
import type { FetchedRecords, Located, Position, Push } from './types.js';

/** A partition whose fetch has ended for a reason that may pass is fetched again after this long. */
export const REFETCH_AFTER_MS = 5_000;

/** Offsets of a seek that are looked up. */
const LOG_START = -2;
const LOG_END = -1;
/** Correlation id of a `sought` that nobody asked for. */
const BY_ITSELF = 0;

/** Moves that the client hears of together. */
interface Seek {
  readonly correlationId: number;
  /** Those that have arrived, and where. */
  readonly arrived: Map<OwnedPartition, Position>;
  open: number;
}

export class Reading {
  readonly #state: SessionState;
  readonly #pushing: Pushing;
  readonly #seeks = new Map<OwnedPartition, Seek>();

  constructor(state: SessionState) {
    this.#state = state;
    this.#pushing = new Pushing(state, {
      onUnreadable: (owned, error) => this.stop(owned, error),
      onDrained: (owned, nowMs) => this.#actOnEnd(owned, nowMs),
    });
  }

  next(nowMs: number): Push | undefined {
    return this.#pushing.next(nowMs);
  }

  hold(): void {
    this.#pushing.hold();
  }

  /** From its position on, which the client has just been told. */
  begin(owned: OwnedPartition): void {
    owned.reading = 'reading';
    owned.retryAtMs = Infinity;
    owned.end = undefined;
    if (owned.isPaused || owned.revocation !== undefined || this.#state.isClosing) return;
    this.#state.emit({
      kind: 'fetch',
      partition: owned,
      generation: this.#state.newGeneration(owned),
      offset: owned.position,
      leaderEpoch: owned.positionEpoch,
    });
  }

  /** Nothing more is fetched, and what was is dropped. */
  halt(owned: OwnedPartition): void {
    this.#endFetch(owned);
    this.#pushing.discard(owned);
    owned.end = undefined;
  }

  /** Looks up where to begin. */
  locate(owned: OwnedPartition, end: 'earliest' | 'latest'): void {
    owned.reading = 'locating';
    this.#state.emit({ kind: 'locate', partition: owned, generation: this.#state.newGeneration(owned), end });
  }

  /** With delivery at most once: what is held and cannot be committed is fetched again, a while later. */
  takeBack(owned: OwnedPartition, error: BarnabasError, nowMs: number): void {
    if (owned.held.every(({ isCommitted }) => isCommitted)) return;
    this.halt(owned);
    this.#state.dropHeld(owned, ({ isCommitted }) => !isCommitted);
    const last = owned.held.at(-1)?.parcel;
    owned.position = last?.nextOffset ?? owned.pushedUntil;
    owned.positionEpoch = last?.leaderEpoch ?? -1;
    // Reading may have been stopped for another reason.
    if (owned.reading === 'locating' || owned.revocation !== undefined) return;
    this.stop(owned, error);
    owned.retryAtMs = nowMs + REFETCH_AFTER_MS;
  }

  /** The partition is the client's no more. */
  forget(owned: OwnedPartition): void {
    this.halt(owned);
    this.#state.forgetPushed(owned);
    this.leaveSeek(owned);
  }

  fetched(generation: number, records: FetchedRecords): void {
    const owned = this.#state.byGeneration.get(generation);
    if (owned === undefined) this.#state.emit({ kind: 'drop', records });
    else this.#pushing.add(owned, records);
  }

  fetchEnded(generation: number, error: BarnabasError, nowMs: number): void {
    const owned = this.#state.byGeneration.get(generation);
    if (owned === undefined) return;
    // What has come is still pushed: from where the fetch ended there may be no way back to it.
    this.#state.endGeneration(owned);
    owned.reading = 'ended';
    owned.end = error;
    if (owned.fetched.length === 0 && owned.held.length === 0) this.#actOnEnd(owned, nowMs);
  }

  /** Where logs begin or end: of all that were asked for together. */
  located(found: readonly Located[]): void {
    const begun: OwnedPartition[] = [];
    for (const { generation, offset } of found) {
      const owned = this.#state.byGeneration.get(generation);
      if (owned === undefined) continue;
      this.#state.endGeneration(owned);
      if (offset instanceof BarnabasError) {
        this.leaveSeek(owned);
        this.stop(owned, offset);
      } else if (this.#seeks.has(owned)) this.#arrive(owned, offset);
      else if (owned.isTold) this.#moveByItself(owned, offset);
      else {
        owned.moveTo({ offset, leaderEpoch: -1, metadata: '' });
        owned.isTold = true;
        begun.push(owned);
      }
    }
    if (begun.length === 0) return;
    this.#state.send(assignedMessage(this.#state.memberEpoch, begun));
    for (const owned of begun) this.begin(owned);
  }

  seek({ correlationId, positions }: v1.SubscribeSeek): void {
    for (const { topic, partition, offset } of positions) {
      if (offset < LOG_START) {
        throw new BarnabasError(
          'INVALID_REQUEST',
          `${topic}-${partition} cannot go on from offset ${offset}: an offset is 0 or more, -2 is the log's start, -1 its end`,
          { topic, partition, offset },
        );
      }
    }
    const seek: Seek = { correlationId, arrived: new Map(), open: 0 };
    const targets = new Map<OwnedPartition, v1.SubscribePosition>();
    for (const position of positions) {
      const owned = this.#state.find(position);
      if (owned?.isTold === true && owned.revocation === undefined && owned.reading !== 'resumed')
        targets.set(owned, position);
    }
    // All of them first: one that is there at once must not end the seek without the others.
    for (const owned of targets.keys()) {
      this.#breakOff(owned);
      this.#seeks.set(owned, seek);
      seek.open += 1;
    }
    if (targets.size === 0) this.#announce(seek);
    for (const [owned, { offset, leaderEpoch }] of targets) {
      if (offset === LOG_START) this.locate(owned, 'earliest');
      else if (offset === LOG_END) this.locate(owned, 'latest');
      else this.#arrive(owned, offset, leaderEpoch);
    }
  }

  /** Nothing that the client acknowledges of it now is of where it goes. */
  isSeeking(owned: OwnedPartition): boolean {
    return this.#seeks.has(owned);
  }

  /** The membership is over, and its seeks with it. */
  forgetSeeks(): void {
    this.#seeks.clear();
  }

  pause(owned: OwnedPartition): void {
    owned.isPaused = true;
    if (owned.reading === 'reading' || owned.reading === 'ended') {
      this.halt(owned);
      owned.reading = 'reading';
    }
  }

  resume(owned: OwnedPartition): void {
    if (!owned.isPaused) return;
    owned.isPaused = false;
    if (owned.reading === 'reading') this.begin(owned);
  }

  /** The time has come to try again what has failed. */
  tick(nowMs: number): void {
    for (const owned of this.#state.partitions.values()) {
      if (owned.retryAtMs <= nowMs) this.begin(owned);
    }
  }

  #endFetch(owned: OwnedPartition): void {
    if (owned.generation === 0) return;
    if (owned.reading === 'reading') this.#state.emit({ kind: 'stop-fetch', generation: owned.generation });
    this.#state.endGeneration(owned);
  }

  /** All that was fetched and pushed is void. */
  #breakOff(owned: OwnedPartition): void {
    this.halt(owned);
    this.#state.forgetPushed(owned);
    this.leaveSeek(owned);
    owned.refused = undefined;
    owned.retryAtMs = Infinity;
  }

  /** The log has no more what the client was reading: it hears where it goes on. */
  #moveByItself(owned: OwnedPartition, offset: number): void {
    this.#breakOff(owned);
    this.#seeks.set(owned, { correlationId: BY_ITSELF, arrived: new Map(), open: 1 });
    this.#arrive(owned, offset);
  }

  /** A partition of a seek is where it is to go on. */
  #arrive(owned: OwnedPartition, offset: number, leaderEpoch = -1): void {
    const seek = this.#seeks.get(owned) as Seek;
    owned.reading = 'stopped';
    seek.arrived.set(owned, { offset, leaderEpoch, metadata: '' });
    seek.open -= 1;
    if (seek.open === 0) this.#announce(seek);
  }

  /** The partition is lost, or another seek has it: the seek does not wait for it. */
  leaveSeek(owned: OwnedPartition): void {
    const seek = this.#seeks.get(owned);
    if (seek === undefined) return;
    this.#seeks.delete(owned);
    if (seek.arrived.delete(owned)) return;
    seek.open -= 1;
    if (seek.open === 0) this.#announce(seek);
  }

  /** From here on the seek is in force. Until here what was acknowledged stands, and is committed as what it is. */
  #announce({ correlationId, arrived }: Seek): void {
    for (const [owned, position] of arrived) {
      this.#seeks.delete(owned);
      owned.moveTo(position);
      owned.seeks += 1;
    }
    const positions = [...arrived].map(([owned, position]) => positionMessage(owned, position));
    this.#state.send(soughtMessage(correlationId, positions));
    for (const owned of arrived.keys()) this.begin(owned);
  }

  #actOnEnd(owned: OwnedPartition, nowMs: number): void {
    const { end } = owned;
    if (end === undefined) return;
    owned.end = undefined;
    if (end.errorName !== 'OFFSET_OUT_OF_RANGE') {
      this.stop(owned, end);
      if (mayPass(end)) owned.retryAtMs = nowMs + REFETCH_AFTER_MS;
      return;
    }
    const divergingOffset = end.facts?.['divergingOffset'];
    const { autoOffsetReset } = this.#state.settings;
    if (autoOffsetReset === 'none') this.stop(owned, end);
    else if (typeof divergingOffset === 'number') this.#moveByItself(owned, Math.min(owned.position, divergingOffset));
    else this.locate(owned, autoOffsetReset);
  }

  /** Nothing is fetched, and the client is told why. */
  stop(owned: OwnedPartition, error: BarnabasError): void {
    this.#endFetch(owned);
    owned.reading = 'stopped';
    if (!owned.isTold) {
      owned.isTold = true;
      this.#state.send(assignedMessage(this.#state.memberEpoch, [owned]));
    }
    this.#state.send(partitionErrorMessage(owned, error));
  }

  /** There is nothing committed, and the client wants to say itself where to begin. */
  stopWithoutPosition(owned: OwnedPartition): void {
    const { topic, partition } = owned;
    this.stop(
      owned,
      new BarnabasError(
        'OFFSET_OUT_OF_RANGE',
        `the group has committed no offset of ${topic}-${partition}, and auto_offset_reset is NONE: seek to where reading is to begin`,
        { topic, partition },
      ),
    );
  }
}

/** Another leader, or another try, may do. */
function mayPass({ retriable, action }: BarnabasError): boolean {
  return retriable || action === 'refresh-metadata' || action === 'retry-elsewhere' || action === 'back-off';
}
