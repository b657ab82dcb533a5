/** What every run has, whatever is simulated: chance, time, a record of what happened, and a first failure. */
import { SeededRandom } from '@barnabas/common';
import { Dice } from './dice.js';
import { Scheduler } from './scheduler.js';
import { Tally } from './tally.js';
import { Trace } from './trace.js';

export class Stage {
  readonly dice: Dice;
  readonly trace = new Trace();
  readonly tally = new Tally();
  readonly scheduler: Scheduler;
  /** Everything is healed: clients begin nothing new, and what was begun must end. */
  isEnding = false;
  #failure: Error | undefined;

  constructor(seed: number) {
    this.dice = new Dice(new SeededRandom(seed));
    this.scheduler = new Scheduler(this.dice, this.trace);
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Ends the run: a fault of what is under test, or a checker's finding. The first one counts. */
  fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
  }

  /** What a check throws must not reach those under test, who would take it for an error of their own. */
  judge(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.fail(error);
    }
  }
}
