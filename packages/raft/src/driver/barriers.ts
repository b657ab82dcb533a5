/** Read barriers on their way: first until the core has proven them, then until their index is applied. */
import { deferred } from '@barnabas/common';
import type { Deferred } from '@barnabas/common';
import type { BarnabasError } from '@barnabas/protocol';

export class Barriers {
  #nextId = 1;
  readonly #unproven = new Map<number, Deferred<number>>();
  #unapplied: { readonly index: number; readonly done: Deferred<number> }[] = [];

  add(): { readonly id: number; readonly answer: Promise<number> } {
    const id = this.#nextId++;
    const done = deferred<number>();
    this.#unproven.set(id, done);
    return { id, answer: done.promise };
  }

  proven(id: number, index: number): void {
    const done = this.#unproven.get(id);
    this.#unproven.delete(id);
    if (done !== undefined) this.#unapplied.push({ index, done });
  }

  lost(id: number, error: BarnabasError): void {
    this.#unproven.get(id)?.reject(error);
    this.#unproven.delete(id);
  }

  applied(index: number): void {
    if (this.#unapplied.length === 0) return;
    const all = this.#unapplied;
    this.#unapplied = all.filter((one) => one.index > index);
    for (const one of all) if (one.index <= index) one.done.resolve(index);
  }

  dropAll(error: BarnabasError): void {
    for (const done of this.#unproven.values()) done.reject(error);
    for (const { done } of this.#unapplied.splice(0)) done.reject(error);
    this.#unproven.clear();
  }
}
