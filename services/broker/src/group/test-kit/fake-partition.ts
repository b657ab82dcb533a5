/**
 * A replicated partition of __consumer_offsets in memory: who leads it, what is in its log, and how far it
 * is committed, all as a test says. A new leader begins with all that is committed, and with as much of the
 * rest as the test leaves it.
 */
import type { ReadRequest, ReadResult } from '@barnabas/log';
import { BarnabasError, forEachBatch, patchBatch, readBatchHeader } from '@barnabas/protocol';
import type { GroupLog, GroupLogListener } from '../group-log.js';

export class FakePartition {
  readonly #batches: Buffer[] = [];
  #leader: FakeGroupLog | undefined;
  highWatermark = 0;
  /** Appends are committed at once. */
  commits = true;
  /** What appends are refused with. */
  refusal: BarnabasError | undefined;
  /** How many more appends succeed before `refusal` holds. */
  appendsLeft = 0;
  /** What reads fail with, one by one. */
  readonly readErrors: Error[] = [];
  /** Reads wait for this. */
  readGate: Promise<void> | undefined;
  maxBatchBytes = 1024 * 1024;
  appends = 0;

  get logEndOffset(): number {
    const last = this.#batches.at(-1);
    return last === undefined ? 0 : readBatchHeader(last).lastOffset + 1;
  }

  get bytes(): number {
    return this.#batches.reduce((sum, { length }) => sum + length, 0);
  }

  /** Opens the log for a leader; whoever led before has been deposed, or opens it again. */
  lead(): FakeGroupLog {
    this.#leader = new FakeGroupLog(this);
    return this.#leader;
  }

  /** Nobody leads; `lost`: what was not committed is gone with the leader. */
  depose(options: { readonly lost?: boolean; readonly leader?: number; readonly leaderEpoch?: number } = {}): void {
    const { lost = false, leader = -1, leaderEpoch = -1 } = options;
    const before = this.#leader;
    this.#leader = undefined;
    before?.end(new BarnabasError('NOT_LEADER_OR_FOLLOWER', 'another leads', { leader, leaderEpoch }));
    if (!lost) return;
    while (this.logEndOffset > this.highWatermark) this.#batches.pop();
  }

  commit(to = this.logEndOffset): void {
    if (to <= this.highWatermark) return;
    this.highWatermark = to;
    this.#leader?.advanced();
  }

  /** For FakeGroupLog. */
  append(batch: Buffer): BarnabasError | undefined {
    if (this.refusal !== undefined && this.appendsLeft-- <= 0) return this.refusal;
    const copy = Buffer.from(batch);
    if (copy.length > this.maxBatchBytes) throw new Error('a batch is larger than the log allows');
    patchBatch(copy, 0, { baseOffset: this.logEndOffset, partitionLeaderEpoch: 0 });
    this.#batches.push(copy);
    this.appends += 1;
    return undefined;
  }

  /** For FakeGroupLog. */
  async read({ offset, maxOffset, maxBytes }: ReadRequest): Promise<ReadResult> {
    await this.readGate;
    const error = this.readErrors.shift();
    if (error !== undefined) throw error;
    const batches: Buffer[] = [];
    let nextOffset = offset;
    let bytes = 0;
    for (const batch of this.#batches) {
      let end = 0;
      forEachBatch(batch, ({ lastOffset }) => (end = lastOffset + 1));
      if (end <= offset || end > maxOffset) continue;
      if (batches.length > 0 && bytes + batch.length > maxBytes) break;
      batches.push(batch);
      bytes += batch.length;
      nextOffset = end;
    }
    return { batches, nextOffset };
  }
}

class FakeGroupLog implements GroupLog {
  #listener: GroupLogListener | undefined;
  #isOver = false;

  constructor(private readonly partition: FakePartition) {}

  readonly logStartOffset = 0;

  get logEndOffset(): number {
    return this.partition.logEndOffset;
  }

  get highWatermark(): number {
    return this.partition.highWatermark;
  }

  get maxBatchBytes(): number {
    return this.partition.maxBatchBytes;
  }

  append(batch: Buffer): BarnabasError | undefined {
    if (this.#isOver) return new BarnabasError('NOT_LEADER_OR_FOLLOWER', 'another leads');
    const refusal = this.partition.append(batch);
    if (refusal === undefined && this.partition.commits) this.partition.commit();
    return refusal;
  }

  read(request: ReadRequest): Promise<ReadResult> {
    return this.partition.read(request);
  }

  listen(listener: GroupLogListener): () => void {
    this.#listener = listener;
    return () => {
      if (this.#listener === listener) this.#listener = undefined;
    };
  }

  advanced(): void {
    this.#listener?.onHighWatermark();
  }

  end(error: BarnabasError): void {
    this.#isOver = true;
    this.#listener?.onUnavailable(error);
  }
}
