/** Seeded choices, in the words in which a simulation makes them. */
import { present } from '@barnabas/common';
import type { Random } from '@barnabas/common';

export class Dice implements Random {
  constructor(private readonly random: Random) {}

  below(bound: number): number {
    return this.random.below(bound);
  }

  float(): number {
    return this.random.float();
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.random.float() < probability;
  }

  /** A uniform integer, both ends included. */
  between(low: number, high: number): number {
    return low + this.random.below(high - low + 1);
  }

  pick<T>(choices: readonly T[]): T {
    return present(choices[this.random.below(choices.length)], 'something to pick from');
  }
}
