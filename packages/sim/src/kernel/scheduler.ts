/**
 * Virtual time, one event at a time. Whatever is due at the same instant comes in an order that the
 * seed chooses; between two events every promise of the parts under test runs as far as it can.
 * Real parts get a Scope as their timers: it dies with the process that it stands for.
 *
 * Invariants:
 *   K1  nothing under test runs except inside an event, so a run depends on its seed alone
 *   K2  after a scope has ended, nothing of it runs and no promise of it settles
 */
import { VirtualTime, present } from '@barnabas/common';
import type { Clock, Timer, Timers } from '@barnabas/common';
import type { Dice } from './dice.js';
import type { Trace } from './trace.js';

interface Task {
  readonly label: string;
  readonly run: () => void;
  cancelled: boolean;
}

export class Scheduler {
  readonly #time = new VirtualTime();
  readonly #due: Task[] = [];
  #events = 0;

  constructor(
    private readonly dice: Dice,
    private readonly trace: Trace,
  ) {}

  get events(): number {
    return this.#events;
  }

  /** Milliseconds since the run began. */
  get elapsedMs(): number {
    return this.#time.monotonic();
  }

  /** A clock that is `skewMs()` ahead of true time and never goes back where time-outs are concerned. */
  clock(skewMs: () => number = () => 0): Clock {
    return { now: () => Math.floor(this.#time.now() + skewMs()), monotonic: () => this.#time.monotonic() };
  }

  after(delayMs: number, label: string, run: () => void): Timer {
    const task: Task = { label, run, cancelled: false };
    const timer = this.#time.after(delayMs, () => this.#due.push(task));
    return {
      cancel: () => {
        task.cancelled = true;
        timer.cancel();
      },
    };
  }

  /** Runs one event; false when there is none left. */
  async next(): Promise<boolean> {
    const task = this.#take();
    if (task === undefined) return false;
    this.#events += 1;
    this.trace.note(`${this.#time.monotonic()} ${task.label}`);
    task.run();
    await microtasksDone();
    return true;
  }

  #take(): Task | undefined {
    while (true) {
      while (this.#due.length > 0) {
        const at = this.dice.below(this.#due.length);
        const task = present(this.#due[at], 'a task that is due');
        this.#due.splice(at, 1);
        if (!task.cancelled) return task;
      }
      const deadline = this.#time.nextDeadline();
      if (deadline === undefined) return undefined;
      this.#time.advance(deadline - this.#time.monotonic());
    }
  }
}

/** setImmediate comes when no microtask is left; nothing else waits in the event loop of a simulation. */
function microtasksDone(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The timers of one process: when it dies, they die. */
export class Scope implements Timers {
  readonly #pending = new Set<Timer>();
  #over = false;
  #standsStillUntilMs = 0;

  constructor(
    private readonly scheduler: Scheduler,
    readonly name: string,
  ) {}

  get isOver(): boolean {
    return this.#over;
  }

  after(delayMs: number, callback: () => void, what = 'timer'): Timer {
    if (this.#over) return { cancel() {} };
    let isCancelled = false;
    const timer = this.scheduler.after(delayMs, `${this.name} ${what}`, () => {
      this.#pending.delete(timer);
      this.whenMoving(() => {
        if (!isCancelled) callback();
      });
    });
    this.#pending.add(timer);
    return {
      cancel: () => {
        isCancelled = true;
        this.#pending.delete(timer);
        timer.cancel();
      },
    };
  }

  /** Now, or when the process no longer stands still; never if it dies before. */
  whenMoving(run: () => void): void {
    if (this.#over) return;
    const ms = this.#standsStillUntilMs - this.scheduler.elapsedMs;
    if (ms <= 0) run();
    else this.after(ms, run, 'moves again');
  }

  /** The process is stopped for a while, as by SIGSTOP: nothing of it runs, and then everything that fell due. */
  standStill(ms: number): void {
    this.#standsStillUntilMs = this.scheduler.elapsedMs + ms;
  }

  /** Never settles once the scope has ended. */
  delay(delayMs: number, what: string): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve, what));
  }

  end(): void {
    this.#over = true;
    for (const timer of this.#pending) timer.cancel();
    this.#pending.clear();
  }
}
