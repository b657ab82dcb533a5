/**
 * Who made a committed record, and what its producer may expect: `<session>/<lane>/<number>`, with an
 * `i` before the session of an idempotent producer. A lane is a session's way to one partition.
 *
 *   no-duplicates   a record of an idempotent producer stands once
 *   order           records of a lane stand in the order in which they were made; those of a producer
 *                   that is not idempotent may stand again
 *   contents        a record stands where it was sent
 */
import { Violation } from '../../kernel/violation.js';
import type { ShadowBatch } from './replica-log.js';

export function markOf(session: number, isIdempotent: boolean, lane: string, number: number): string {
  return `${isIdempotent ? 'i' : ''}${session}/${lane}/${number}`;
}

export class Marks {
  /** By `<session>/<lane>`: the numbers that stand, in order of their first place. */
  readonly #lanes = new Map<string, number[]>();

  add(where: { readonly name: string }, batch: ShadowBatch): void {
    batch.values.forEach((mark, index) => {
      const offset = batch.baseOffset + index;
      const [session = '', lane = '', text = ''] = mark.split('/');
      const number = Number(text);
      if (lane !== where.name || Number.isNaN(number))
        throw broken('contents', 'a record was never sent here', mark, where, offset);
      const key = `${session}/${lane}`;
      const numbers = this.#lanes.get(key) ?? [];
      this.#lanes.set(key, numbers);
      if (numbers.includes(number)) {
        if (session.startsWith('i')) throw broken('no-duplicates', 'a record stands twice', mark, where, offset);
        return;
      }
      const last = numbers.at(-1);
      if (last !== undefined && number < last)
        throw broken('order', 'a record stands behind a later one', mark, where, offset);
      numbers.push(number);
    });
  }

  /** The batch is gone, by a loss that was allowed. */
  remove(batch: ShadowBatch): void {
    for (const mark of batch.values) {
      const at = mark.lastIndexOf('/');
      const numbers = this.#lanes.get(mark.slice(0, at));
      const index = numbers?.indexOf(Number(mark.slice(at + 1))) ?? -1;
      if (index >= 0) numbers?.splice(index, 1);
    }
  }
}

function broken(
  check: string,
  what: string,
  mark: string,
  where: { readonly name: string },
  offset: number,
): Violation {
  return new Violation(check, what, { mark, partition: where.name, offset });
}
