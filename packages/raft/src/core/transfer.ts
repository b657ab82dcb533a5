/**
 * The lead on its way to another voter (dissertation, 3.10): nothing new is proposed, the target gets
 * the rest of the log, then it is told to stand for election at once. Given up after an election
 * time-out: the target may be dead, and somebody must take proposals again.
 */
import type { NodeId } from './types.js';

export class Transfer {
  #elapsed = 0;
  /** The target has been told, perhaps in vain. */
  isTold = false;
  /** It is to be told again: nothing says that it has heard it. */
  isDue = true;

  constructor(
    readonly to: NodeId,
    readonly patience: number,
  ) {}

  /** False when it is time to give up. */
  tick(heartbeatTicks: number): boolean {
    this.#elapsed++;
    if (this.#elapsed % heartbeatTicks === 0) this.isDue = true;
    return this.#elapsed < this.patience;
  }
}
