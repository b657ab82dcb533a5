/**
 * How long one turn of the event loop goes on handing messages to handlers. A socket brings hundreds of
 * messages at once; handled in one go they hold up everything else, and above all what their handlers
 * write: it leaves the process when the turn ends. So a stream stands still when the turn has had its
 * time, and goes on in the next.
 *
 * One for a process, since there is one event loop. Not in virtual time: turns are the real loop's.
 */

/** Long enough that the turns themselves cost nothing, short against what a client waits for. */
const TURN_MS = 5;

class Turn {
  #begunAt: number | undefined;

  /** Whether the present turn has had its time. Begins it where it has not begun. */
  get isOver(): boolean {
    const now = performance.now();
    if (this.#begunAt === undefined) {
      this.#begunAt = now;
      setImmediate(() => (this.#begunAt = undefined));
    }
    return now - this.#begunAt >= TURN_MS;
  }
}

export const turn = new Turn();
