/**
 * The disk of one simulated machine: memory stores whose calls take time, stall and fail, and which
 * forget what was not synced when the power goes. It outlives the processes that use it.
 *
 * Owns: when a call completes and whether it does. What a store is stays with @barnabas/store.
 */
import { MemoryStoreFactory } from '@barnabas/store';
import type { Dice } from '../kernel/dice.js';
import type { Scheduler } from '../kernel/scheduler.js';

/** How a write that was told to fail does so. */
export type WriteFailure =
  /** Nothing of it reaches the disk. */
  | 'refused'
  /** It is written, but the sync fails: whoever called cannot know. */
  | 'unsynced';

export interface DiskLatency {
  readonly maxReadMs: number;
  readonly maxWriteMs: number;
  readonly maxSyncMs: number;
}

export class SimulatedDisk {
  readonly files = new MemoryStoreFactory();
  #stalledUntilMs = 0;
  #fullUntilMs = 0;
  #slowUntilMs = 0;
  #slowness = 1;
  #failures: WriteFailure[] = [];

  constructor(
    private readonly scheduler: Scheduler,
    private readonly dice: Dice,
    private readonly latency: DiskLatency,
  ) {}

  /** Until then, no write and no sync that is begun now completes. */
  stall(ms: number): void {
    this.#stalledUntilMs = this.scheduler.elapsedMs + ms;
  }

  /** Until then, everything takes so many times as long. */
  slow(slowness: number, ms: number): void {
    this.#slowness = slowness;
    this.#slowUntilMs = this.scheduler.elapsedMs + ms;
  }

  /** Until then, nothing can be written. */
  fill(ms: number): void {
    this.#fullUntilMs = this.scheduler.elapsedMs + ms;
  }

  get isFull(): boolean {
    return this.scheduler.elapsedMs < this.#fullUntilMs;
  }

  failNextWrite(failure: WriteFailure): void {
    this.#failures.push(failure);
  }

  /** No more faults. */
  heal(): void {
    this.#stalledUntilMs = 0;
    this.#slowUntilMs = 0;
    this.#fullUntilMs = 0;
    this.#failures = [];
  }

  nextFailure(): WriteFailure | undefined {
    return this.#failures.shift();
  }

  readMs(): number {
    return this.#took(this.latency.maxReadMs);
  }

  writeMs(): number {
    return this.#stallMs() + this.#took(this.latency.maxWriteMs);
  }

  syncMs(): number {
    return this.#stallMs() + this.#took(this.latency.maxSyncMs);
  }

  /** The machine dies. A prefix of the unsynced writes of each store survives, or with `holes` any of them. */
  losePower(holes: boolean): void {
    this.files.crash(this.dice, { holes });
  }

  /** A process dies: what it has written stays with the operating system, synced or not. */
  async loseProcess(): Promise<void> {
    for (const location of this.files.locations()) await this.files.store(location)?.close();
  }

  #took(maxMs: number): number {
    const slowness = this.scheduler.elapsedMs < this.#slowUntilMs ? this.#slowness : 1;
    return slowness * this.dice.between(0, maxMs);
  }

  #stallMs(): number {
    return Math.max(0, this.#stalledUntilMs - this.scheduler.elapsedMs);
  }
}
