/** Counts what a run went through, so that a test can tell a run in which nothing happened. */
export class Tally {
  readonly #counts = new Map<string, number>();

  count(what: string, amount = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + amount);
  }

  of(what: string): number {
    return this.#counts.get(what) ?? 0;
  }

  add(counts: Readonly<Record<string, number>>): void {
    for (const [what, amount] of Object.entries(counts)) this.count(what, amount);
  }

  counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].sort(([one], [other]) => (one < other ? -1 : 1)));
  }
}
