/** Planted histories: one that is right, and one for each anomaly. */
import { check } from './checker';
import { FINAL } from './history';
import type { History, Operation, Poll, Send } from './history';

let nextProcess = 0;
const send = (values: number[], offset?: number, more: Partial<Send> = {}): Send => ({
  kind: 'send',
  process: more.process ?? `p${nextProcess++}`,
  partition: 0,
  values,
  mayDuplicate: false,
  isContiguous: true,
  outcome: offset === undefined ? 'info' : 'ok',
  offset,
  ...more,
});
/** A poll of `[offset, value]`. */
const poll = (process: string, ...records: readonly (readonly [number, number])[]): Poll => ({
  kind: 'poll',
  process,
  partition: 0,
  offsets: records.map(([offset]) => offset),
  values: records.map(([, value]) => value),
});
const a = { process: 'a' };
/** Three sends of one producer, acknowledged; a reader that saw them in two polls. */
const sends = [send([10], 0, a), send([11], 1, a), send([12], 2, a)];
const reads = [poll('r', [0, 10]), poll('r', [1, 11], [2, 12])];
const final = poll(FINAL, [0, 10], [1, 11], [2, 12]);

const kinds = (...history: Operation[]) => check(history).anomalies.map(({ kind }) => kind);
const declared = (...history: Operation[]) => check(history).declared.map(({ kind }) => kind);

describe('the checker of chaos histories', () => {
  it('finds nothing wrong with a history that is right', () => expect(kinds(...sends, ...reads, final)).toEqual([]));

  it('does not mind an unknown outcome, whether the record is there or not', () => {
    expect(kinds(...sends, send([13]), ...reads, final)).toEqual([]);
    expect(kinds(...sends, send([13]), ...reads, poll(FINAL, [0, 10], [1, 11], [2, 12], [3, 13]))).toEqual([]);
  });

  it('does not mind offsets that hold nothing', () =>
    expect(
      kinds(send([10], 0, a), send([11], 5, a), poll('r', [0, 10], [5, 11]), poll(FINAL, [0, 10], [5, 11])),
    ).toEqual([]));

  it('does not mind a reader that begins anew elsewhere', () =>
    expect(kinds(...sends, ...reads, { kind: 'assign', process: 'r' }, poll('r', [0, 10]), final)).toEqual([]));

  it('finds lost-write: acknowledged and gone', () =>
    expect(kinds(...sends, ...reads.slice(0, 1), poll('r', [1, 11]), poll(FINAL, [0, 10], [1, 11]))).toEqual([
      'lost-write',
    ]));

  it('finds lost-write: given to a reader and gone', () =>
    expect(kinds(...sends, send([13]), ...reads, poll('r', [3, 13]), final)).toEqual(['lost-write']));

  it('finds unseen', () => expect(kinds(...sends, poll('r', [0, 10], [1, 11]), final)).toEqual(['unseen']));

  it('finds a duplicate', () =>
    expect(kinds(...sends, ...reads, poll(FINAL, [0, 10], [1, 11], [2, 12], [3, 12]))).toEqual(['duplicate']));

  it('counts a duplicate that the API declares apart', () => {
    const history: History = [
      send([10], 1, { ...a, mayDuplicate: true }),
      poll('r', [0, 10], [1, 10]),
      poll(FINAL, [0, 10], [1, 10]),
    ];
    expect(kinds(...history)).toEqual([]);
    expect(declared(...history)).toEqual(['duplicate']);
  });

  it('finds inconsistent-offsets: two values at one offset', () => {
    const history = [send([13], 2), ...sends, ...reads, poll(FINAL, [0, 10], [1, 11], [2, 12], [3, 13])];
    expect(kinds(...history)).toContain('inconsistent-offsets');
  });

  it('finds inconsistent-offsets: two readers disagree', () =>
    expect(
      kinds(...sends, send([13]), ...reads, { kind: 'assign', process: 's' }, poll('s', [2, 13]), final),
    ).toContain('inconsistent-offsets'));

  it('finds inconsistent-offsets: acknowledged elsewhere than found', () =>
    expect(kinds(...sends.slice(0, 2), send([12], 7, a), ...reads, final)).toEqual(['inconsistent-offsets']));

  it('finds unsent', () => {
    expect(kinds(...sends, ...reads, poll(FINAL, [0, 10], [1, 11], [2, 12], [3, 99]))).toEqual(['unsent']);
    const elsewhere = send([13], undefined, { partition: 1 });
    expect(kinds(...sends, elsewhere, ...reads, poll('r', [3, 13]), final)).toContain('unsent');
  });

  it('finds G1a', () => {
    const failed = send([13], undefined, { outcome: 'fail' });
    expect(kinds(...sends, failed, ...reads, poll(FINAL, [0, 10], [1, 11], [2, 12], [3, 13]))).toEqual(['G1a']);
  });

  it('finds nonmonotonic-send among acknowledged ones', () =>
    expect(
      kinds(send([10], 1, a), send([11], 0, a), poll('r', [0, 11], [1, 10]), poll(FINAL, [0, 11], [1, 10])),
    ).toEqual(['nonmonotonic-send']));

  it('finds nonmonotonic-send where the first was not acknowledged', () =>
    expect(
      kinds(send([10], undefined, a), send([11], 0, a), poll('r', [0, 11], [1, 10]), poll(FINAL, [0, 11], [1, 10])),
    ).toEqual(['nonmonotonic-send']));

  it('allows it where a producer without idempotence had given the first up', () => {
    const late = send([10], undefined, { ...a, mayDuplicate: true });
    expect(kinds(late, send([11], 0, a), poll('r', [0, 11], [1, 10]), poll(FINAL, [0, 11], [1, 10]))).toEqual([]);
  });

  it('finds int-nonmonotonic-send', () =>
    expect(kinds(send([10, 11], 1, a), poll('r', [0, 11], [1, 10]), poll(FINAL, [0, 11], [1, 10]))).toEqual([
      'int-nonmonotonic-send',
    ]));

  it('finds int-send-skip, and counts it apart where the API does not promise it', () => {
    const history = (isContiguous: boolean) => [
      send([10, 12], 0, { ...a, isContiguous }),
      send([11], 1),
      ...reads,
      final,
    ];
    expect(kinds(...history(true))).toEqual(['int-send-skip']);
    expect(kinds(...history(false))).toEqual([]);
    expect(declared(...history(false))).toEqual(['int-send-skip']);
  });

  it('finds nonmonotonic-poll between polls and int-nonmonotonic-poll within one', () => {
    expect(kinds(...sends, ...reads, poll('r', [1, 11]), poll('r', [2, 12]), final)).toEqual(['nonmonotonic-poll']);
    expect(kinds(...sends, poll('r', [0, 10], [1, 11], [1, 11], [2, 12]), final)).toEqual(['int-nonmonotonic-poll']);
  });

  it('finds poll-skip between polls and int-poll-skip within one', () => {
    const other = poll('s', [0, 10], [1, 11], [2, 12]);
    expect(kinds(...sends, other, poll('r', [0, 10]), poll('r', [2, 12]), final)).toEqual(['poll-skip']);
    expect(kinds(...sends, other, poll('r', [0, 10], [2, 12]), final)).toEqual(['int-poll-skip']);
  });
});
