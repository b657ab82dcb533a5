/** Callbacks that want to hear of a change. One that is taken off while others are called is not called. */
export class Listeners {
  readonly #callbacks = new Set<() => void>();

  add(callback: () => void): () => void {
    // A wrapper, so that adding one function twice gives two entries.
    const entry = () => callback();
    this.#callbacks.add(entry);
    return () => {
      this.#callbacks.delete(entry);
    };
  }

  call(): void {
    for (const callback of this.#callbacks) callback();
  }
}
