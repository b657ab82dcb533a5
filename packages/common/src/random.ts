/** Randomness as a port. Cores take a Random; only composition roots decide where it comes from. */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

export interface Random {
  /** A uniform integer in [0, bound). `bound` is in [1, 2^32]. */
  below(bound: number): number;
  /** A uniform float in [0, 1) with 32 bits of precision. */
  float(): number;
}

/** The same seed gives the same sequence on every platform. */
export class SeededRandom implements Random {
  readonly #generator;

  constructor(seed: number) {
    this.#generator = xoroshiro128plus(seed | 0);
  }

  float(): number {
    return (this.#generator.next() >>> 0) / 0x1_0000_0000;
  }

  below(bound: number): number {
    return Math.floor(this.float() * bound);
  }
}
