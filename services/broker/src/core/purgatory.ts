/**
 * Where requests wait for a condition or for their deadline, whichever comes first. Completion is
 * the owner's business: it removes the entry. Expiry is found here.
 *
 * Deadlines are gathered into buckets of RESOLUTION_MS, so adding and removing cost one set
 * operation and an expired entry comes out at most that much late, never early. Completed entries
 * leave at once: nothing of an answered request stays behind until its deadline.
 */

export interface Deadlined {
  /** Monotonic milliseconds. */
  readonly deadline: number;
}

const RESOLUTION_MS = 20;

export class Purgatory<T extends Deadlined> {
  readonly #buckets = new Map<number, Set<T>>();
  #size = 0;

  /** Entries waiting. Kafka's PurgatorySize. */
  get size(): number {
    return this.#size;
  }

  /** Adding an entry that is there already does nothing. */
  add(entry: T): void {
    const bucket = bucketOf(entry.deadline);
    const waiting = this.#buckets.get(bucket);
    if (waiting === undefined) this.#buckets.set(bucket, new Set([entry]));
    else if (waiting.has(entry)) return;
    else waiting.add(entry);
    this.#size += 1;
  }

  /** Whether the entry was waiting. */
  remove(entry: T): boolean {
    const bucket = bucketOf(entry.deadline);
    const waiting = this.#buckets.get(bucket);
    if (waiting === undefined || !waiting.delete(entry)) return false;
    if (waiting.size === 0) this.#buckets.delete(bucket);
    this.#size -= 1;
    return true;
  }

  /** Takes out what is due at `now`, in order of deadline. */
  expire(now: number): T[] {
    const due: T[] = [];
    for (const [bucket, waiting] of this.#buckets) {
      if (bucket * RESOLUTION_MS > now) continue;
      due.push(...waiting);
      this.#buckets.delete(bucket);
      this.#size -= waiting.size;
    }
    return due.sort((a, b) => a.deadline - b.deadline);
  }

  /** When to call expire next; undefined when nothing waits. */
  nextDeadline(): number | undefined {
    if (this.#buckets.size === 0) return undefined;
    let first = Infinity;
    for (const bucket of this.#buckets.keys()) first = Math.min(first, bucket);
    return first * RESOLUTION_MS;
  }
}

/** The first bucket that is due only once the deadline has passed. */
function bucketOf(deadline: number): number {
  return Math.ceil(deadline / RESOLUTION_MS);
}
