/** What somebody has asked for and may lie below what is committed: commits of members that go back, and resets. */
export interface Commit {
  readonly rewinds: number;
  readonly offset: number;
}

export class Rewinds {
  readonly #asked = new Set<string>();
  readonly #reset = new Set<string>();

  asked(groupId: string, key: string, { rewinds, offset }: Commit): void {
    this.#asked.add(`${groupId}/${key}/${rewinds}/${offset}`);
  }

  /** By nobody's member, which does not count. */
  reset(groupId: string, key: string, offset: number): void {
    this.#reset.add(`${groupId}/${key}/${offset}`);
  }

  allows(groupId: string, key: string, { rewinds, offset }: Commit): boolean {
    return this.#asked.has(`${groupId}/${key}/${rewinds}/${offset}`) || this.#reset.has(`${groupId}/${key}/${offset}`);
  }
}
