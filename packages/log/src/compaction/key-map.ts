/**
 * The last offset of each key, in memory of a fixed size: what one pass of compaction knows. Keys are
 * kept as the first 128 bits of their SHA-256, so that a key costs 24 bytes however long it is, and two
 * keys are taken for one with a chance that no log lives to see.
 *
 * Open addressing with linear probing; nothing is ever removed but everything.
 */
import { createHash } from 'node:crypto';
import { assert } from '@barnabas/common';

/** Four words of hash and an offset. */
export const BYTES_PER_KEY = 24;
/** Beyond this probing gets slow. */
const FULL_AT = 0.75;
const WORDS = 4;

export class KeyMap {
  readonly #hashes: Uint32Array;
  /** The offset plus one; 0: the slot is free. */
  readonly #offsets: Float64Array;
  readonly #slots: number;
  #size = 0;

  constructor(maxBytes: number) {
    this.#slots = Math.max(MIN_SLOTS, Math.floor(maxBytes / BYTES_PER_KEY));
    this.#hashes = new Uint32Array(this.#slots * WORDS);
    this.#offsets = new Float64Array(this.#slots);
  }

  get size(): number {
    return this.#size;
  }

  /** Whether another key may not fit. */
  get isFull(): boolean {
    return this.#size >= this.#slots * FULL_AT;
  }

  /** Offsets of a key only grow. */
  put(key: Uint8Array, offset: number): void {
    const hash = hashOf(key);
    const slot = this.#find(hash);
    const before = this.#offsets[slot] ?? 0;
    if (before === 0) {
      assert(this.#size < this.#slots - 1, 'a full map takes no key');
      for (let word = 0; word < WORDS; word++) this.#hashes[slot * WORDS + word] = hash.readUInt32LE(word * 4);
      this.#size++;
    }
    assert(offset + 1 > before, 'offsets of a key grow', { offset });
    this.#offsets[slot] = offset + 1;
  }

  /** Undefined for a key that was not put. */
  get(key: Uint8Array): number | undefined {
    const found = this.#offsets[this.#find(hashOf(key))] ?? 0;
    return found === 0 ? undefined : found - 1;
  }

  clear(): void {
    this.#offsets.fill(0);
    this.#size = 0;
  }

  /** The slot of the key, or the free one where it belongs. */
  #find(hash: Buffer): number {
    const words = [hash.readUInt32LE(0), hash.readUInt32LE(4), hash.readUInt32LE(8), hash.readUInt32LE(12)] as const;
    let slot = words[0] % this.#slots;
    while (this.#offsets[slot] !== 0 && !this.#isAt(slot, words)) slot = (slot + 1) % this.#slots;
    return slot;
  }

  #isAt(slot: number, words: readonly [number, number, number, number]): boolean {
    const at = slot * WORDS;
    const hashes = this.#hashes;
    return (
      hashes[at] === words[0] &&
      hashes[at + 1] === words[1] &&
      hashes[at + 2] === words[2] &&
      hashes[at + 3] === words[3]
    );
  }
}

const MIN_SLOTS = 16;

function hashOf(key: Uint8Array): Buffer {
  return createHash('sha256').update(key).digest();
}
