/**
 * Promises of the parts under test that fail while nobody listens: in production each of them ends
 * the process, so each of them fails a run.
 */
export class StrayRejections {
  #first: unknown;
  #some = false;
  readonly #listener = (reason: unknown): void => {
    if (!this.#some) this.#first = reason;
    this.#some = true;
  };

  constructor() {
    process.on('unhandledRejection', this.#listener);
  }

  get first(): Error | undefined {
    if (!this.#some) return undefined;
    const reason = this.#first;
    const text = reason instanceof Error ? (reason.stack ?? reason.message) : String(reason);
    return new Error(`a promise failed and nobody listened: ${text}`);
  }

  stop(): void {
    process.off('unhandledRejection', this.#listener);
  }
}
