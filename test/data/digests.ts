/**
 * What two streams of lines have in common: a digest of all their bytes in order, or one for each
 * key's lines in order. Pure but for the hashing.
 */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { linesOf } from './corpus.js';

const NEWLINE = 0x0a;
export const KEY_SEPARATOR = '|';

/** What was hashed, and its digest; sorted by name. */
export type Digests = readonly (readonly [name: string, digest: string])[];

/** Takes the chunks of a stream; cut anywhere. */
export interface Digest {
  readonly bytes: number;
  add(chunk: Buffer): void;
  /** Once, at the end of the stream. */
  finish(): Digests;
}

/** Of all bytes, as they come. */
export class WholeDigest implements Digest {
  readonly #hash = createHash('sha256');
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(chunk: Buffer): void {
    this.#hash.update(chunk);
    this.#bytes += chunk.length;
  }

  finish(): Digests {
    return [['all bytes', this.#hash.digest('hex')]];
  }
}

/** Of each key's lines: what is before the first separator is the key. */
export class KeyedDigest implements Digest {
  readonly #hashes = new Map<string, Hash>();
  #pending: Buffer[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(chunk: Buffer): void {
    this.#bytes += chunk.length;
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end === 0) {
      this.#pending.push(chunk);
      return;
    }
    const whole = Buffer.concat([...this.#pending, chunk.subarray(0, end)]);
    this.#pending = end === chunk.length ? [] : [chunk.subarray(end)];
    for (const line of linesOf(whole)) this.#line(line);
  }

  finish(): Digests {
    if (this.#pending.length > 0) throw new Error('the last line has no end');
    const digests = [...this.#hashes].map(([key, hash]) => [key, hash.digest('hex')] as const);
    return digests.sort(([left], [right]) => (left < right ? -1 : 1));
  }

  #line(line: Buffer): void {
    const at = line.indexOf(KEY_SEPARATOR);
    if (at === -1) throw new Error(`a line without a key: ${line.toString('latin1').slice(0, 80)}`);
    const key = line.toString('latin1', 0, at);
    let hash = this.#hashes.get(key);
    if (hash === undefined) this.#hashes.set(key, (hash = createHash('sha256')));
    hash.update(line.subarray(at));
  }
}

/** How they differ, in words; empty if they do not. */
export function differences(sent: Digests, received: Digests): string[] {
  const wanted = new Map(sent);
  const got = new Map(received);
  const found: string[] = [];
  for (const [name, digest] of wanted) {
    if (got.get(name) !== digest) found.push(`${name}: sent ${digest}, received ${got.get(name) ?? 'nothing'}`);
  }
  for (const name of got.keys()) if (!wanted.has(name)) found.push(`${name}: received and never sent`);
  return found;
}
