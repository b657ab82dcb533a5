/**
 * The ways between hosts, each direction for itself: how long a message takes, and whether it gets
 * through at all. What is sent over a way that is cut waits, as TCP would send it again.
 */
import type { Dice } from '../../kernel/dice.js';

export interface LinkPlan {
  /** What a message takes at most in good times. */
  readonly maxLatencyMs: number;
  /** Probability that a message is sent again, and so late. */
  readonly lateness: number;
  readonly maxLateMs: number;
}

export class Links {
  /** `from>to`: by how many outages it is cut, and what waits for it to be whole again. */
  readonly #cut = new Map<string, { outages: number; readonly waiting: (() => void)[] }>();
  readonly #slow = new Map<string, number>();
  /** By how much the next message of a kind is to be late: `from>to kind`. */
  readonly #heldUp = new Map<string, number>();
  #isCalm = false;

  constructor(
    private readonly dice: Dice,
    private readonly plan: LinkPlan,
  ) {}

  cut(from: string, to: string): void {
    const way = `${from}>${to}`;
    const known = this.#cut.get(way);
    if (known === undefined) this.#cut.set(way, { outages: 1, waiting: [] });
    else known.outages += 1;
  }

  /** One of the outages is over. */
  mend(from: string, to: string): void {
    const way = `${from}>${to}`;
    const known = this.#cut.get(way);
    if (known === undefined) return;
    known.outages -= 1;
    if (known.outages > 0) return;
    this.#cut.delete(way);
    for (const goOn of known.waiting) goOn();
  }

  /** Every message takes up to so much longer; 0 for no longer than usual. */
  slow(from: string, to: string, extraMs: number): void {
    this.#slow.set(`${from}>${to}`, extraMs);
  }

  /** The next message of a kind takes so much longer; in a stream those behind it wait, too. */
  holdUp(from: string, to: string, kind: string, extraMs: number): void {
    this.#heldUp.set(`${from}>${to} ${kind}`, extraMs);
  }

  /** All ways are whole and quick again. */
  join(): void {
    this.#heldUp.clear();
    const waiting = [...this.#cut.values()].flatMap((way) => way.waiting);
    this.#cut.clear();
    this.#slow.clear();
    for (const goOn of waiting) goOn();
  }

  /** From now on nothing is late. */
  calm(): void {
    this.#isCalm = true;
  }

  isCut(from: string, to: string): boolean {
    return this.#cut.has(`${from}>${to}`);
  }

  /** Only for a way that is cut. */
  whenJoined(from: string, to: string, goOn: () => void): void {
    this.#cut.get(`${from}>${to}`)?.waiting.push(goOn);
  }

  delayMs(from: string, to: string, kind: string): number {
    const { dice, plan } = this;
    const way = `${from}>${to}`;
    const heldUpMs = this.#heldUp.size === 0 ? 0 : this.#heldUpMs(`${way} ${kind}`);
    const delayMs = dice.between(0, plan.maxLatencyMs) + dice.between(0, this.#slow.get(way) ?? 0) + heldUpMs;
    return !this.#isCalm && dice.chance(plan.lateness) ? delayMs + dice.between(1, plan.maxLateMs) : delayMs;
  }

  #heldUpMs(message: string): number {
    const extraMs = this.#heldUp.get(message) ?? 0;
    this.#heldUp.delete(message);
    return extraMs;
  }
}
