/**
 * Runs deliveries in a later microtask, so that nobody is called back inside its own call, and gives
 * the event loop its turn after a run of them: two roles that answer each other at once would
 * otherwise keep timers and sockets waiting for ever.
 */
const RUN = 256;

export class Courier {
  #left = RUN;
  #refill: NodeJS.Immediate | undefined;

  post(delivery: () => void): void {
    if (this.#left === 0) {
      setImmediate(delivery);
      return;
    }
    this.#left -= 1;
    this.#refill ??= setImmediate(() => {
      this.#left = RUN;
      this.#refill = undefined;
    }).unref();
    queueMicrotask(delivery);
  }
}
