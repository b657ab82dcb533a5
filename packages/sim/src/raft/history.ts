/** What clients asked for and were told, in the order in which they did. */
import type { RegisterAction, RegisterOperation } from '../linearizability/registers.js';

/** An operation that has begun. Until it is said how it ended, its outcome is unknown. */
export interface Begun {
  action: RegisterAction;
  readonly invokedAt: number;
  endedAt: number | undefined;
}

export class History {
  readonly #operations = new Set<Begun>();
  #moment = 0;

  invoke(action: RegisterAction): Begun {
    const begun = { action, invokedAt: this.#moment++, endedAt: undefined };
    this.#operations.add(begun);
    return begun;
  }

  written(write: Begun): void {
    write.endedAt = this.#moment++;
  }

  read(read: Begun, value: string | undefined): void {
    read.action = { type: 'read', register: read.action.register, value };
    read.endedAt = this.#moment++;
  }

  /** It has surely not taken effect. */
  failed(operation: Begun): void {
    this.#operations.delete(operation);
  }

  /** Reads without an answer say nothing. */
  get operations(): readonly RegisterOperation[] {
    return [...this.#operations].filter(({ action, endedAt }) => action.type === 'write' || endedAt !== undefined);
  }
}
