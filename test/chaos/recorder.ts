/** Writes down what the workload does: the history for the checker, and figures for people. */
import { toBarnabasError } from '@barnabas/protocol';
import type { Assign, Operation, Poll, Send } from './history.js';

export class Recorder {
  readonly history: Operation[] = [];
  /** What must not happen and is no anomaly of the history: a reader that was refused its position, for example. */
  readonly problems: string[] = [];
  /** Errors that clients were given, by name and by who got it. */
  readonly errors = new Map<string, number>();
  readonly acknowledged: number[];
  sent = 0;
  polled = 0;
  #nextValue = 1;
  readonly #lastAckMs: number[];
  #longestPauseMs = 0;

  constructor(readonly partitions: number) {
    this.acknowledged = new Array<number>(partitions).fill(0);
    this.#lastAckMs = new Array<number>(partitions).fill(performance.now());
  }

  get totalAcknowledged(): number {
    return this.acknowledged.reduce((sum, count) => sum + count, 0);
  }

  /** Begins a send of so many new values. */
  send(begun: Pick<Send, 'process' | 'partition' | 'mayDuplicate' | 'isContiguous'>, count = 1): Send {
    const values = Array.from({ length: count }, () => this.#nextValue++);
    const send: Send = { kind: 'send', ...begun, values, outcome: 'info', offset: undefined };
    this.history.push(send);
    this.sent += count;
    return send;
  }

  /** `offset` below 0: acknowledged, and the leader no longer knows where. */
  acknowledge(send: Send, offset: number): void {
    send.outcome = 'ok';
    send.offset = offset < 0 ? undefined : offset;
    const { partition, values } = send;
    const nowMs = performance.now();
    this.#longestPauseMs = Math.max(this.#longestPauseMs, nowMs - (this.#lastAckMs[partition] ?? nowMs));
    this.#lastAckMs[partition] = nowMs;
    this.acknowledged[partition] = (this.acknowledged[partition] ?? 0) + values.length;
  }

  /** Nobody knows whether it is in the log, unless the client says that it never left. */
  fail(send: Send, thrown: unknown): void {
    const error = toBarnabasError(thrown);
    if (error.facts?.['attempts'] === 0) send.outcome = 'fail';
    this.error(send.process, error);
  }

  error(process: string, thrown: unknown): void {
    const { errorName, message, facts, cause } = toBarnabasError(thrown);
    const name = `${process.replace(/[\d.]+/g, '')}: ${errorName}`;
    const before = this.errors.get(name) ?? 0;
    this.errors.set(name, before + 1);
    // Whatever is struck, what a client is told has a name.
    if (errorName === 'UNKNOWN_SERVER_ERROR' && before === 0) {
      const why = cause instanceof Error ? `, by ${cause.stack}` : '';
      this.problem(`${process} was given an error without a name: ${message} ${JSON.stringify(facts ?? {})}${why}`);
    }
  }

  poll(poll: Omit<Poll, 'kind'>): void {
    this.history.push({ kind: 'poll', ...poll });
    this.polled += poll.values.length;
  }

  assign(process: string): void {
    this.history.push({ kind: 'assign', process } satisfies Assign);
  }

  problem(text: string): void {
    this.problems.push(text);
    console.log(`  PROBLEM ${text}`);
  }

  /** The longest time that a partition went without an acknowledgement, since the last call; also if it still does. */
  takeLongestPauseMs(): number {
    const nowMs = performance.now();
    const longest = Math.max(this.#longestPauseMs, ...this.#lastAckMs.map((lastMs) => nowMs - lastMs));
    this.#longestPauseMs = 0;
    return longest;
  }
}
