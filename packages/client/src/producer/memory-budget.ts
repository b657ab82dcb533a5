/** buffer.memory: what batches that are not settled take together. */
export class MemoryBudget {
  #free: number;

  constructor(readonly totalBytes: number) {
    this.#free = totalBytes;
  }

  get freeBytes(): number {
    return this.#free;
  }

  tryReserve(bytes: number): boolean {
    if (bytes > this.#free) return false;
    this.#free -= bytes;
    return true;
  }

  release(bytes: number): void {
    this.#free += bytes;
  }
}
