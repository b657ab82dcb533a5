/**
 * Async iteration over a source that has things at once, or later. Written by hand: an async
 * generator costs several times as much for each record.
 */

export interface IterationSource<T> {
  /** The next thing; undefined if there is none now. Throws what iteration must fail with. */
  take(): T | undefined;
  /** Resolves when `take` may have something, with false when it never will again. */
  whenMore(): Promise<boolean>;
  /** Whether the event loop should have its turn before the next thing; it gets it if so. */
  shouldYield(): boolean;
  /** The iteration is over, for whatever reason. */
  release(): void;
}

export class ConsumerIterator<T> implements AsyncIterableIterator<T> {
  readonly #source: IterationSource<T>;
  #isOver = false;
  #isWaiting = false;

  constructor(source: IterationSource<T>) {
    this.#source = source;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#isOver || this.#isWaiting || this.#source.shouldYield()) return this.#later();
    try {
      const value = this.#source.take();
      if (value !== undefined) return Promise.resolve({ done: false, value });
    } catch (error) {
      this.#end();
      return Promise.reject(error as Error);
    }
    return this.#later();
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  async #later(): Promise<IteratorResult<T, undefined>> {
    if (this.#isWaiting) throw new TypeError('next() was called before the last one had its answer');
    this.#isWaiting = true;
    try {
      // With much buffered, iteration runs on microtasks alone, and nothing new would be read meanwhile.
      await new Promise<void>((resolve) => setImmediate(resolve));
      while (!this.#isOver) {
        const value = this.#source.take();
        if (value !== undefined) return { done: false, value };
        if (!(await this.#source.whenMore())) this.#end();
      }
      return { done: true, value: undefined };
    } catch (error) {
      this.#end();
      throw error;
    } finally {
      this.#isWaiting = false;
    }
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#source.release();
  }
}
