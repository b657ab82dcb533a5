/** A steady rate, in small bursts, until it is stopped. A load that falls behind does not catch up in one burst. */
const TICK_MS = 20;
/** Of what fell due while the process was busy, this much at most is made up for. */
const MAX_BURST_MS = 200;

export class Pace {
  #isRunning = true;
  #owed = 0;
  #lastMs = performance.now();

  constructor(private readonly perSecond: number) {}

  get isRunning(): boolean {
    return this.#isRunning;
  }

  stop(): void {
    this.#isRunning = false;
  }

  /** How many are due now, after a tick. */
  async next(): Promise<number> {
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    const nowMs = performance.now();
    this.#owed += (this.perSecond * Math.min(nowMs - this.#lastMs, MAX_BURST_MS)) / 1000;
    this.#lastMs = nowMs;
    const due = Math.floor(this.#owed);
    this.#owed -= due;
    return due;
  }
}
