/**
 * Runs jobs one at a time in the order they came. In Node, races live at `await`; a component
 * whose every change of state goes through one queue has none.
 *
 * A job that rejects rejects its own promise and the queue goes on; closing rejects what has
 * not started and waits for what has.
 */
export class EventQueue {
  readonly #jobs: { run: () => Promise<void>; refuse: (error: Error) => void }[] = [];
  #running: Promise<void> | undefined;
  #closed = false;

  /** Jobs waiting, without the one that is running. */
  get length(): number {
    return this.#jobs.length;
  }

  push<T>(job: () => Promise<T> | T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed) {
        reject(new Error('the event queue is closed'));
        return;
      }
      this.#jobs.push({
        run: async () => {
          try {
            resolve(await job());
          } catch (error) {
            reject(error);
          }
        },
        refuse: reject,
      });
      this.#running ??= this.#drain();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#jobs.splice(0)) job.refuse(new Error('the event queue is closed'));
    await this.#running;
  }

  async #drain(): Promise<void> {
    // Yields once so that a job never runs inside the push that queued it.
    await Promise.resolve();
    for (let job = this.#jobs.shift(); job !== undefined; job = this.#jobs.shift()) await job.run();
    this.#running = undefined;
  }
}
