/**
 * What handlers have to do for one partition: lanes, in each of which one thing is handled at a time, and how
 * much of the partition is done. A partition is one lane, or each key is one; what has no key waits for nobody.
 */
import type { AssignedPartition, PartitionPosition } from './assigned-partition.js';
import { OffsetTracker } from './offset-tracker.js';
import type { Tracked } from './offset-tracker.js';

export interface Task {
  readonly lane: Lane;
  readonly tracked: Tracked;
  readonly handle: () => void | Promise<void>;
}

export interface Lane {
  readonly work: PartitionWork;
  readonly name: string;
  readonly tasks: Task[];
  isRunning: boolean;
}

/** The lane of a partition whose records are handled in their order. */
export const WHOLE_PARTITION = '';

export class PartitionWork {
  readonly era: number;
  readonly #lanes = new Map<string, Lane>();
  readonly #tracker = new OffsetTracker();
  #unnamed = 0;
  /** Handed out and not begun. */
  queued = 0;
  running = 0;

  constructor(readonly assigned: AssignedPartition) {
    this.era = assigned.era;
  }

  /** Nothing of it is to be begun any more: it was revoked, lost, or sought away from. */
  get isStale(): boolean {
    return this.assigned.isSuspended || this.assigned.era !== this.era;
  }

  /** Where to go on if nothing more is begun; undefined where all is done. */
  get low(): PartitionPosition | undefined {
    return this.#tracker.low;
  }

  /** Adds what begins at `start`; returns its lane. Undefined for a lane of its own. */
  add(start: PartitionPosition, name: string | undefined, handle: Task['handle']): Lane {
    const lane = this.#lane(name ?? `#${this.#unnamed++}`);
    lane.tasks.push({ lane, tracked: this.#tracker.add(start), handle });
    this.queued++;
    this.#hold();
    return lane;
  }

  /** The next thing of a lane to be begun. */
  begin(lane: Lane): Task | undefined {
    const task = lane.tasks.shift();
    if (task === undefined) return undefined;
    this.queued--;
    this.running++;
    lane.isRunning = true;
    this.assigned.begin();
    return task;
  }

  /** A thing is over. One that has failed is not done. */
  end({ lane, tracked }: Task, isDone: boolean): void {
    this.running--;
    lane.isRunning = false;
    if (lane.tasks.length === 0) this.#lanes.delete(lane.name);
    if (isDone) this.#tracker.finish(tracked);
    this.#hold();
    this.assigned.end();
  }

  #lane(name: string): Lane {
    const known = this.#lanes.get(name) ?? { work: this, name, tasks: [], isRunning: false };
    this.#lanes.set(name, known);
    return known;
  }

  #hold(): void {
    if (this.assigned.era !== this.era) return;
    const { low } = this;
    if (low === undefined) this.assigned.settle();
    else this.assigned.holdAt(low.offset, low.leaderEpoch);
  }
}
