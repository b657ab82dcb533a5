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
    this.#generator = xoroshiro128plus(scrambled(seed));
  }

  float(): number {
    return (this.#generator.next() >>> 0) / 0x1_0000_0000;
  }

  below(bound: number): number {
    return Math.floor(this.float() * bound);
  }
}

/** The generator begins with nearly equal numbers for neighbouring seeds; murmur3's finalizer sets them apart. */
function scrambled(seed: number): number {
  let bits = seed | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85eb_ca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35);
  return bits ^ (bits >>> 16);
}
