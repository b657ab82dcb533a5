/** What a broker's process finds around it: time, disk, controller, and whoever notes its faults. */
import type { SimulatedDisk } from '../disk/simulated-disk.js';
import type { Dice } from '../kernel/dice.js';
import type { Scheduler } from '../kernel/scheduler.js';
import type { Tally } from '../kernel/tally.js';
import type { Trace } from '../kernel/trace.js';
import type { Authority } from './authority.js';
import type { BrokerPlan } from './plan.js';

export interface Surroundings {
  readonly dice: Dice;
  readonly trace: Trace;
  readonly tally: Tally;
  readonly scheduler: Scheduler;
  readonly plan: BrokerPlan;
  readonly disk: SimulatedDisk;
  readonly authority: Authority;
  /** What the broker's clock is ahead of true time. */
  readonly skewMs: number;
  /** Ends the run. */
  fail(error: unknown): void;
  /** Ends the run if the check throws; nobody under test hears of it. */
  judge(check: () => void): void;
}
