/**
 * Judges the history of a chaos run, in the manner and with the names of Jepsen's Kafka tests. Pure.
 *
 *   lost-write              acknowledged, or given to a reader, and not in the log in the end
 *   unseen                  acknowledged and in the log, and given to none of the readers that ran along
 *   duplicate               at more than one offset
 *   inconsistent-offsets    two values at one offset, or acknowledged at one offset and found at another
 *   unsent                  read, and never sent, or sent to another partition
 *   G1a                     read, although the send is known to have failed
 *   nonmonotonic-send       a process' records in the log in an order other than sent; within one send: int-...
 *   int-send-skip           the records of one send do not lie together
 *   nonmonotonic-poll       a reader is taken back; within one poll: int-...
 *   poll-skip               a reader is taken over a record that is there; within one poll: int-...
 *
 * What the API declares (a producer without idempotence may write twice; records of one send may be
 * spread over batches) is counted apart.
 */
import { FINAL } from './history.js';
import type { History, Poll, Send } from './history.js';

export type AnomalyKind =
  | 'lost-write'
  | 'unseen'
  | 'duplicate'
  | 'inconsistent-offsets'
  | 'unsent'
  | 'G1a'
  | 'nonmonotonic-send'
  | 'int-nonmonotonic-send'
  | 'int-send-skip'
  | 'nonmonotonic-poll'
  | 'int-nonmonotonic-poll'
  | 'poll-skip'
  | 'int-poll-skip';

export interface Anomaly {
  readonly kind: AnomalyKind;
  readonly detail: string;
}

export interface Verdict {
  readonly anomalies: readonly Anomaly[];
  /** What looks like an anomaly and is within what the API promises. */
  readonly declared: readonly Anomaly[];
}

/** What is known of one partition. */
interface PartitionLog {
  /** What was first seen at each offset, by whomever. */
  readonly valueAt: Map<number, number>;
  /** Offsets at which the final read found each value. */
  readonly finalOffsets: Map<number, number[]>;
  /** Values given to readers that ran along. */
  readonly seen: Set<number>;
}

export function check(history: History): Verdict {
  return new Check(history).run();
}

class Check {
  readonly #history: History;
  readonly #logs = new Map<number, PartitionLog>();
  readonly #sendOf = new Map<number, Send>();
  readonly #anomalies: Anomaly[] = [];
  readonly #declared: Anomaly[] = [];

  constructor(history: History) {
    this.#history = history;
  }

  run(): Verdict {
    for (const operation of this.#history) if (operation.kind === 'send') this.#index(operation);
    for (const operation of this.#history) if (operation.kind === 'poll') this.#observe(operation);
    this.#judgeSends();
    this.#judgeValues();
    this.#judgePolls();
    return { anomalies: this.#anomalies, declared: this.#declared };
  }

  #log(partition: number): PartitionLog {
    let log = this.#logs.get(partition);
    if (log === undefined) {
      log = { valueAt: new Map(), finalOffsets: new Map(), seen: new Set() };
      this.#logs.set(partition, log);
    }
    return log;
  }

  #report(kind: AnomalyKind, detail: string): void {
    this.#anomalies.push({ kind, detail });
  }

  #index(send: Send): void {
    for (const value of send.values) this.#sendOf.set(value, send);
    const [first] = send.values;
    if (send.offset !== undefined && first !== undefined)
      this.#place(send.partition, send.offset, first, 'acknowledged');
  }

  /** Takes everything a reader was given into what is known. */
  #observe({ process, partition, offsets, values }: Poll): void {
    const log = this.#log(partition);
    values.forEach((value, index) => {
      const offset = offsets[index] ?? -1;
      this.#place(partition, offset, value, `given to ${process}`);
      if (process !== FINAL) log.seen.add(value);
      else log.finalOffsets.set(value, [...(log.finalOffsets.get(value) ?? []), offset]);
      const send = this.#sendOf.get(value);
      if (send === undefined) this.#report('unsent', `${at(partition, offset)} has ${value}, which nobody sent`);
      else if (send.partition !== partition) {
        this.#report('unsent', `${at(partition, offset)} has ${value}, which was sent to partition ${send.partition}`);
      } else if (send.outcome === 'fail') {
        this.#report('G1a', `${at(partition, offset)} has ${value}, whose send by ${send.process} failed`);
      }
    });
  }

  #place(partition: number, offset: number, value: number, how: string): void {
    const { valueAt } = this.#log(partition);
    const known = valueAt.get(offset);
    if (known === undefined) valueAt.set(offset, value);
    else if (known !== value) {
      this.#report('inconsistent-offsets', `${at(partition, offset)} was ${known}, and ${value} was ${how}`);
    }
  }

  #judgeSends(): void {
    const last = new Map<string, { readonly offset: number; readonly value: number }>();
    for (const send of this.#history) {
      if (send.kind !== 'send') continue;
      const stream = `${send.process}/${send.partition}`;
      const places = send.values.map((value, index) => this.#placeOf(send, value, index));
      places.forEach((offset, index) => {
        const value = send.values[index] ?? -1;
        if (offset === undefined) return;
        const before = last.get(stream);
        if (before !== undefined && offset <= before.offset) {
          const kind = send.values.includes(before.value) ? 'int-nonmonotonic-send' : 'nonmonotonic-send';
          const detail = `${send.process} sent ${before.value} before ${value}; they are at ${at(send.partition, before.offset)} and ${offset}`;
          this.#report(kind, detail);
        }
        last.set(stream, { offset, value });
      });
      this.#judgeContiguity(send, places);
    }
  }

  /** Where a value is for the order of its process; undefined if it is nowhere, or may be anywhere. */
  #placeOf(send: Send, value: number, index: number): number | undefined {
    if (index === 0 && send.offset !== undefined) return send.offset;
    // Without idempotence an attempt that was given up may still arrive, behind later ones.
    if (send.mayDuplicate) return undefined;
    return this.#log(send.partition).finalOffsets.get(value)?.[0];
  }

  #judgeContiguity(send: Send, places: readonly (number | undefined)[]): void {
    for (let index = 1; index < places.length; index++) {
      const [previous, offset] = [places[index - 1], places[index]];
      if (previous === undefined || offset === undefined || offset <= previous + 1) continue;
      const detail = `${send.process} sent ${send.values.join(', ')} at once; between ${at(send.partition, previous)} and ${offset} there are others`;
      (send.isContiguous ? this.#anomalies : this.#declared).push({ kind: 'int-send-skip', detail });
    }
  }

  #judgeValues(): void {
    const hasReaders = this.#history.some((operation) => operation.kind === 'poll' && operation.process !== FINAL);
    for (const [value, send] of this.#sendOf) {
      const { partition, process } = send;
      const log = this.#log(partition);
      const found = log.finalOffsets.get(value);
      const isAcknowledged = send.outcome === 'ok';
      const isSeen = log.seen.has(value);
      if (found === undefined) {
        if (isAcknowledged) {
          const where = send.offset === undefined ? '' : ` at ${at(partition, send.offset)}`;
          this.#report('lost-write', `${value} of ${process} was acknowledged${where} and is gone`);
        } else if (isSeen) this.#report('lost-write', `${value} of ${process} was given to a reader and is gone`);
        continue;
      }
      if (found.length > 1) {
        const anomaly = {
          kind: 'duplicate',
          detail: `${value} of ${process} is at ${at(partition, found[0] ?? -1)} and ${found.slice(1).join(', ')}`,
        } as const;
        (send.mayDuplicate ? this.#declared : this.#anomalies).push(anomaly);
      }
      if (send.offset !== undefined && value === send.values[0] && !found.includes(send.offset)) {
        this.#report(
          'inconsistent-offsets',
          `${value} of ${process} was acknowledged at ${at(partition, send.offset)} and is at ${found.join(', ')}`,
        );
      }
      if (isAcknowledged && !isSeen && hasReaders) {
        this.#report(
          'unseen',
          `${value} of ${process} is at ${at(partition, found[0] ?? -1)} and no reader was given it`,
        );
      }
    }
  }

  #judgePolls(): void {
    const last = new Map<string, number>();
    const known = new Map(
      [...this.#logs].map(([partition, { valueAt }]) => [partition, Float64Array.from(valueAt.keys()).sort()]),
    );
    for (const operation of this.#history) {
      if (operation.kind === 'send') continue;
      if (operation.kind === 'assign') {
        for (const stream of [...last.keys()]) if (stream.startsWith(`${operation.process}/`)) last.delete(stream);
        continue;
      }
      const { process, partition, offsets } = operation;
      const stream = `${process}/${partition}`;
      offsets.forEach((offset, index) => {
        const before = last.get(stream);
        const prefix = index === 0 ? '' : 'int-';
        if (before !== undefined && offset <= before) {
          this.#report(`${prefix}nonmonotonic-poll`, `${process} was given ${at(partition, offset)} after ${before}`);
        } else if (before !== undefined && process !== FINAL) {
          const skipped = between(known.get(partition) ?? new Float64Array(), before, offset);
          if (skipped !== undefined) {
            this.#report(
              `${prefix}poll-skip`,
              `${process} was given ${at(partition, offset)} after ${before}, without ${skipped}`,
            );
          }
        }
        last.set(stream, offset);
      });
    }
  }
}

function at(partition: number, offset: number): string {
  return `${partition}@${offset}`;
}

/** The first of the sorted offsets that lies between the two. */
function between(sorted: Float64Array, after: number, before: number): number | undefined {
  if (before === after + 1) return undefined;
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) <= after) low = middle + 1;
    else high = middle;
  }
  const next = sorted[low];
  return next !== undefined && next < before ? next : undefined;
}
