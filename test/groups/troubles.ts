/** When nodes and members of a run had something in their way, and for how long that excuses what is not as it should be. */

/** After a node serves again its effects on groups may last: elections, sessions, commits that are tried again. */
const AFTERMATH_MS = 15_000;
/** When nothing is in its way, a member hears of everything within so much: ten heartbeats. */
const NOTICE_MS = 10_000;

interface Trouble {
  readonly who: string;
  readonly fromMs: number;
  untilMs: number;
}

export class Troubles {
  readonly #ofNodes: Trouble[] = [];
  readonly #ofMembers: Trouble[] = [];

  nodeBegins(node: string, atMs: number): void {
    this.#ofNodes.push({ who: node, fromMs: atMs, untilMs: Infinity });
  }

  nodeEnds(node: string, atMs: number): void {
    end(this.#ofNodes, node, atMs + AFTERMATH_MS);
  }

  memberBegins(member: string, atMs: number): void {
    this.#ofMembers.push({ who: member, fromMs: atMs, untilMs: Infinity });
  }

  memberEnds(member: string, atMs: number): void {
    end(this.#ofMembers, member, atMs);
  }

  /** Some node was down or could not be reached, or had been shortly before. */
  isDisturbed(atMs: number): boolean {
    return this.#ofNodes.some(({ fromMs, untilMs }) => fromMs <= atMs && atMs < untilMs);
  }

  /** The member stood still or was cut off in this time, and not only long before its end. */
  wasHindered(member: string, fromMs: number, untilMs: number): boolean {
    return this.#ofMembers.some(
      (one) => one.who === member && one.fromMs <= untilMs && one.untilMs > fromMs && one.untilMs + NOTICE_MS > untilMs,
    );
  }

  /** By when the member has heard of what came to pass at `atMs`: never as long as something is in its way. */
  heardBy(member: string, atMs: number): number {
    const inTheWay = [...this.#ofNodes, ...this.#ofMembers.filter(({ who }) => who === member)];
    return Math.max(atMs, ...inTheWay.map(({ untilMs }) => untilMs)) + NOTICE_MS;
  }
}

function end(troubles: readonly Trouble[], whose: string, untilMs: number): void {
  const one = troubles.find(({ who, untilMs: until }) => who === whose && until === Infinity);
  if (one !== undefined) one.untilMs = untilMs;
}
