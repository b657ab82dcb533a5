/** Proposals that came while the lead was on its way to another node. Nothing of them has been appended. */
import { deferred } from '@barnabas/common';
import type { Deferred } from '@barnabas/common';
import type { Committed } from '../types.js';

interface Held {
  readonly commands: readonly Uint8Array[];
  readonly bytes: number;
  /** The term in which they were to be appended. */
  readonly term: number;
  readonly done: Deferred<Committed>;
}

export class HeldProposals {
  #all: Held[] = [];
  #commands = 0;
  #bytes = 0;

  /** How many indexes they will take. */
  get commands(): number {
    return this.#commands;
  }
  get bytes(): number {
    return this.#bytes;
  }

  add(commands: readonly Uint8Array[], bytes: number, term: number): Promise<Committed> {
    const done = deferred<Committed>();
    this.#all.push({ commands, bytes, term, done });
    this.#commands += commands.length;
    this.#bytes += bytes;
    return done.promise;
  }

  /** All of them, in order; they are held no longer. */
  take(): readonly Held[] {
    const all = this.#all;
    this.#all = [];
    this.#commands = 0;
    this.#bytes = 0;
    return all;
  }
}
