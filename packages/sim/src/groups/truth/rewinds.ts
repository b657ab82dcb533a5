/** Offsets that somebody has asked for and that may lie below what is committed: rewinds and resets. */
export class Rewinds {
  readonly #asked = new Map<string, Set<number>>();

  asked(groupId: string, key: string, offset: number): void {
    const name = `${groupId}/${key}`;
    const known = this.#asked.get(name) ?? new Set();
    this.#asked.set(name, known.add(offset));
  }

  allows(groupId: string, key: string, offset: number): boolean {
    return this.#asked.get(`${groupId}/${key}`)?.has(offset) === true;
  }
}
