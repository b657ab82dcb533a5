/**
 * What may be pushed to a client, in records and in bytes.
 *
 * Invariant: what is taken while credit is open exceeds it by one record's bytes at most, and never in
 * records; whoever takes asks for no more than `limits`.
 */
import { BarnabasError } from '@barnabas/protocol';
import type { CreditAmount, TakeLimits } from './types.js';

/** Proto's int32: more could not be said. */
const MAX_CREDIT = 2 ** 31 - 1;

export class Credits {
  #records: number;
  #bytes: number;

  constructor({ records, bytes }: CreditAmount) {
    this.#records = records;
    this.#bytes = bytes;
  }

  get records(): number {
    return this.#records;
  }

  /** Below 0 after an overdraft. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Something may be pushed. */
  get isOpen(): boolean {
    return this.#records > 0 && this.#bytes > 0;
  }

  get limits(): TakeLimits {
    return { maxRecords: this.#records, maxBytes: this.#bytes };
  }

  take({ records, bytes }: CreditAmount): void {
    this.#records -= records;
    this.#bytes -= bytes;
  }

  give({ records, bytes }: CreditAmount): void {
    this.#records += records;
    this.#bytes += bytes;
  }

  /** What a client allows beside what it had. INVALID_REQUEST for what no client can mean. */
  grant({ records, bytes }: CreditAmount): void {
    if (records < 0 || bytes < 0 || this.#records + records > MAX_CREDIT || this.#bytes + bytes > MAX_CREDIT) {
      throw new BarnabasError(
        'INVALID_REQUEST',
        `credit is added to what is left: ${records} records and ${bytes} bytes on top of ${this.#records} and ${this.#bytes} must not be negative and not be more than ${MAX_CREDIT}`,
        { records, bytes },
      );
    }
    this.give({ records, bytes });
  }
}
