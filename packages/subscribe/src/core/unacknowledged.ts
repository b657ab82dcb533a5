/**
 * What was pushed of one partition and is not acknowledged, in the messages in which it was pushed.
 *
 * A position inside a message: offsets below it may be missing, so it is taken for granted that all that
 * are above it are there. What is given back is never more than what was acknowledged; the rest follows
 * with the end of the message.
 */
import type { CreditAmount } from './types.js';

interface Pushed {
  readonly nextOffset: number;
  readonly records: number;
  readonly bytes: number;
}

/** Beyond this many messages they are counted as one: a client may go without acknowledging for long. */
const MAX_MESSAGES = 1_024;
const NOTHING: CreditAmount = { records: 0, bytes: 0 };

export class Unacknowledged {
  #messages: Pushed[] = [];
  #records = 0;
  #bytes = 0;

  get records(): number {
    return this.#records;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add({ records, bytes }: CreditAmount, nextOffset: number): void {
    this.#records += records;
    this.#bytes += bytes;
    const last = this.#messages.length < MAX_MESSAGES ? undefined : this.#messages.pop();
    this.#messages.push({ nextOffset, records: records + (last?.records ?? 0), bytes: bytes + (last?.bytes ?? 0) });
  }

  /** All below `offset` is done with. Returns what that was. */
  acknowledge(offset: number): CreditAmount {
    let records = 0;
    let bytes = 0;
    for (let first = this.#messages[0]; first !== undefined; first = this.#messages[0]) {
      if (first.nextOffset > offset) {
        const left = Math.min(first.records, first.nextOffset - offset);
        const leftBytes = first.records === 0 ? 0 : Math.ceil((first.bytes * left) / first.records);
        records += first.records - left;
        bytes += first.bytes - leftBytes;
        this.#messages[0] = { nextOffset: first.nextOffset, records: left, bytes: leftBytes };
        break;
      }
      records += first.records;
      bytes += first.bytes;
      this.#messages.shift();
    }
    this.#records -= records;
    this.#bytes -= bytes;
    return { records, bytes };
  }

  /** All of it is void. Returns what it was. */
  clear(): CreditAmount {
    if (this.#messages.length === 0) return NOTHING;
    const all = { records: this.#records, bytes: this.#bytes };
    this.#messages = [];
    this.#records = 0;
    this.#bytes = 0;
    return all;
  }
}
