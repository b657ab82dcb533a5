/**
 * The log as this node's core holds it: the entries in memory, and how far they are stored, committed
 * and handed out. Does no I/O: the driver stores what (stableIndex, lastIndex] holds.
 *
 *   base          snapshot        taken      commit
 *    |---------------|--------------|-----------|-------------|  lastIndex
 *    entries kept for late followers       stableIndex lies anywhere from taken to lastIndex
 *
 * Invariants:
 *   L1  base <= snapshot <= taken <= commit <= lastIndex
 *   L2  taken <= stableIndex <= lastIndex: only what is on this node's disk is applied
 *   L3  indexes have no gaps, terms never fall from one entry to the next
 *   L4  commit never falls, and no committed entry is ever replaced
 *   L5  the configuration in force is that of the last change in the log, or the one as of the base
 * Protocol: docs/protocols/raft.md, section 3.
 */
import { assert, present } from '@barnabas/common';
import { Configurations, NO_MEMBERS } from './configuration.js';
import type { Configuration, Entry, SnapshotMark } from './types.js';

/** What an entry takes in memory and on the wire beside its command, roughly. */
const ENTRY_OVERHEAD_BYTES = 64;

export const entryBytes = (entry: Entry): number => entry.command.length + ENTRY_OVERHEAD_BYTES;

export class RaftLog {
  /** The entry before the first one held; {0, 0} at the very beginning. */
  #base: SnapshotMark;
  #snapshot: SnapshotMark;
  #entries: Entry[];
  #stableIndex: number;
  /** Up to where the group under way will make the log stable; lowered if entries in it are replaced meanwhile. */
  #storingIndex = 0;
  #commitIndex: number;
  #takenIndex: number;
  readonly #configurations: Configurations;

  /**
   * A log as read from disk: everything in it is stable; what the snapshot contains is committed and
   * applied. `configuration` is the one as of the snapshot.
   */
  constructor(snapshot: SnapshotMark, entries: readonly Entry[], configuration: Configuration = NO_MEMBERS) {
    this.#configurations = new Configurations(snapshot.index, configuration);
    this.#base = snapshot;
    this.#snapshot = snapshot;
    this.#entries = [];
    this.#commitIndex = snapshot.index;
    this.#takenIndex = snapshot.index;
    this.#stableIndex = snapshot.index;
    for (const entry of entries) this.#push(entry);
    this.#stableIndex = this.lastIndex;
  }

  get lastIndex(): number {
    return this.#base.index + this.#entries.length;
  }
  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#base.term;
  }
  get stableIndex(): number {
    return this.#stableIndex;
  }
  get commitIndex(): number {
    return this.#commitIndex;
  }
  get takenIndex(): number {
    return this.#takenIndex;
  }
  get snapshot(): SnapshotMark {
    return this.#snapshot;
  }
  /** The configuration in force, committed or not. */
  get configuration(): Configuration {
    return this.#configurations.latest;
  }
  /** The entry that it came with. */
  get configurationIndex(): number {
    return this.#configurations.latestIndex;
  }
  /** The configuration that was in force at an entry, from the snapshot on. */
  configurationAt(index: number): Configuration {
    return this.#configurations.at(index);
  }
  /** The first entry held in memory, if there is any. */
  get firstIndex(): number {
    return this.#base.index + 1;
  }

  /** The term of the entry, 0 for index 0; undefined where the log does not reach, at either end. */
  termAt(index: number): number | undefined {
    if (index === this.#base.index) return this.#base.term;
    return this.#entries[index - this.#base.index - 1]?.term;
  }

  holds(mark: SnapshotMark): boolean {
    return this.termAt(mark.index) === mark.term;
  }

  /** Whether a log that ends so contains all that this one could have committed. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** Entries from an index on, up to about maxBytes; at least one if there is one. */
  slice(from: number, maxBytes: number): Entry[] {
    assert(from >= this.firstIndex, 'entries are sliced only where the log still holds them', { from });
    const first = from - this.#base.index - 1;
    let end = first;
    for (let bytes = 0; end < this.#entries.length; end++) {
      bytes += entryBytes(this.#at(end));
      if (end > first && bytes > maxBytes) break;
    }
    return this.#entries.slice(first, end);
  }

  /**
   * The highest index, at most `index`, whose term is at most `term`: where two logs can still agree
   * when one of them holds `term` at `index`. The base if everything held is of later terms.
   */
  lastIndexWithTermUpTo(index: number, term: number): SnapshotMark {
    let at = Math.min(index, this.lastIndex);
    while (at > this.#base.index && present(this.termAt(at), 'term') > term) at--;
    return { index: at, term: this.termAt(at) ?? 0 };
  }

  /** A leader's own new entry. */
  append(entry: Entry): void {
    this.#push(entry);
  }

  /**
   * What a leader sent after an entry that both hold. Entries held already are kept; from the first
   * that differs on, the log is replaced. Returns the last index that is now known to agree.
   */
  accept(prevIndex: number, entries: readonly Entry[]): number {
    for (const entry of entries) {
      if (entry.index > this.lastIndex) this.#push(entry);
      else if (entry.index > this.#base.index && this.termAt(entry.index) !== entry.term) {
        this.#truncateFrom(entry.index);
        this.#push(entry);
      }
    }
    return prevIndex + entries.length;
  }

  commitTo(index: number): void {
    if (index <= this.#commitIndex) return;
    assert(
      index <= this.lastIndex,
      'a log reaches as far as the leader knows it to: this one has lost entries that it had acknowledged',
      { index, lastIndex: this.lastIndex },
    );
    this.#commitIndex = index;
  }

  /** Entries that are not on disk yet; until `stored` the group is under way. */
  takeUnstable(): Entry[] {
    this.#storingIndex = this.lastIndex;
    return this.#entries.slice(this.#stableIndex - this.#base.index);
  }

  /** The group last taken is on disk. */
  stored(): void {
    // Entries replaced while they were being written are not stable: their successors are written next.
    this.#stableIndex = Math.max(this.#stableIndex, this.#storingIndex);
    this.#storingIndex = 0;
  }

  /** Committed entries that are on this node's disk and have not been taken before. */
  takeCommitted(): Entry[] {
    const end = Math.min(this.#commitIndex, this.#stableIndex);
    if (end <= this.#takenIndex) return [];
    const taken = this.#entries.slice(this.#takenIndex - this.#base.index, end - this.#base.index);
    this.#takenIndex = end;
    return taken;
  }

  /** This node's own snapshot is on disk: forget entries in it, but for about keepBytes of the newest. */
  compact(mark: SnapshotMark, keepBytes: number): void {
    if (mark.index <= this.#snapshot.index) return;
    assert(mark.index <= this.#takenIndex && this.holds(mark), 'a snapshot contains only what was applied', {
      index: mark.index,
    });
    this.#snapshot = mark;
    let keepFrom = mark.index;
    for (let bytes = 0; keepFrom > this.#base.index && bytes < keepBytes; keepFrom--) {
      bytes += entryBytes(this.#at(keepFrom - this.#base.index - 1));
    }
    const base = { index: keepFrom, term: present(this.termAt(keepFrom), 'term') };
    this.#entries = this.#entries.slice(keepFrom - this.#base.index);
    this.#base = base;
    this.#configurations.compactedTo(keepFrom);
  }

  /** A leader's snapshot takes the place of the whole log. */
  restore(mark: SnapshotMark, configuration: Configuration): void {
    assert(mark.index > this.#commitIndex, 'a snapshot never takes a log back', {
      index: mark.index,
      commitIndex: this.#commitIndex,
    });
    this.#base = mark;
    this.#snapshot = mark;
    this.#entries = [];
    this.#stableIndex = mark.index;
    this.#storingIndex = 0;
    this.#commitIndex = mark.index;
    this.#takenIndex = mark.index;
    this.#configurations.restored(mark.index, configuration);
  }

  checkInvariants(): void {
    const [base, snapshot, last] = [this.#base.index, this.#snapshot.index, this.lastIndex];
    const [taken, commit, stable] = [this.#takenIndex, this.#commitIndex, this.#stableIndex];
    const facts = { base, snapshot, taken, commit, stable, last };
    assert(base <= snapshot && snapshot <= taken && taken <= commit && commit <= last, 'L1 must hold', facts);
    assert(taken <= stable && stable <= last, 'L2 must hold', facts);
    assert(this.configurationIndex <= last, 'L5 must hold', facts);
  }

  #at(position: number): Entry {
    return present(this.#entries[position], 'entry', { position });
  }

  #push(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1 && entry.term >= this.lastTerm, 'L3 must hold', {
      index: entry.index,
      term: entry.term,
      lastIndex: this.lastIndex,
      lastTerm: this.lastTerm,
    });
    this.#entries.push(entry);
    this.#configurations.appended(entry);
  }

  #truncateFrom(index: number): void {
    assert(index > this.#commitIndex, 'no committed entry is replaced', { index, commitIndex: this.#commitIndex });
    this.#entries.length = index - this.#base.index - 1;
    this.#stableIndex = Math.min(this.#stableIndex, index - 1);
    this.#storingIndex = Math.min(this.#storingIndex, index - 1);
    this.#configurations.truncatedFrom(index);
  }
}
