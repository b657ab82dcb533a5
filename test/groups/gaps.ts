/** How long members, and single partitions, go without a record. */
import type { GroupEvent } from './history.js';

export class Gaps {
  readonly #lastMs = new Map<string, number>();
  readonly #longestMs = new Map<string, number>();

  /** Counts from now: what has not been given anything when it ends was silent all the time. */
  constructor(
    private readonly members: ReadonlySet<string>,
    partitions: Iterable<number>,
    nowMs: number,
  ) {
    for (const member of members) this.#lastMs.set(member, nowMs);
    for (const partition of partitions) this.#lastMs.set(nameOf(partition), nowMs);
  }

  observe(event: GroupEvent): void {
    if (event.kind !== 'record' || !this.members.has(event.member)) return;
    this.#heard(event.member, event.atMs);
    this.#heard(nameOf(event.partition), event.atMs);
  }

  /** The longest silence of each member that is told of. */
  ofMembers(nowMs: number): readonly number[] {
    return [...this.members].map((member) => this.#longest(member, nowMs));
  }

  ofPartitions(partitions: Iterable<number>, nowMs: number): readonly number[] {
    return [...partitions].map((partition) => this.#longest(nameOf(partition), nowMs));
  }

  #heard(name: string, atMs: number): void {
    const lastMs = this.#lastMs.get(name);
    if (lastMs === undefined) return;
    this.#longestMs.set(name, Math.max(this.#longestMs.get(name) ?? 0, atMs - lastMs));
    this.#lastMs.set(name, atMs);
  }

  #longest(name: string, nowMs: number): number {
    return Math.max(this.#longestMs.get(name) ?? 0, nowMs - (this.#lastMs.get(name) ?? nowMs));
  }
}

function nameOf(partition: number): string {
  return `partition ${partition}`;
}
