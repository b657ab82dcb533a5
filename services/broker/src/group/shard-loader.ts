/**
 * Makes a shard of what a partition of __consumer_offsets holds: every record up to the log end, committed
 * or not (R1 of group-shard.ts). Nobody else appends to the partition meanwhile, since this broker leads
 * it, so the log end stands still.
 *
 * Reads a piece at a time, and lets others go on between pieces: a log of a million commits takes seconds,
 * and the broker must not stand still for them.
 */
import { deferred } from '@barnabas/common';
import type { Clock, Timers } from '@barnabas/common';
import { GroupShard } from '../core/group/index.js';
import type { GroupSettings, Now } from '../core/group/index.js';
import type { GroupLog } from './group-log.js';
import { decodeBatches } from './record-batches.js';

export interface LoadOptions {
  readonly log: GroupLog;
  readonly settings: GroupSettings;
  readonly clock: Clock;
  readonly timers: Timers;
  /** The shard is not wanted any more: loading ends with undefined. */
  readonly isOver: () => boolean;
}

const READ_BYTES = 256 * 1024;
/** Records between two looks at the clock, and how long may pass before others go on. */
const RECORDS_PER_LOOK = 64;
const SLICE_MS = 10;

/** Rejects with what reading says, and with CORRUPT_MESSAGE for a record that this version does not know. */
export async function loadShard(options: LoadOptions): Promise<GroupShard | undefined> {
  const { log, settings, isOver } = options;
  const shard = new GroupShard(settings);
  const { logEndOffset: maxOffset } = log;
  for (let offset = log.logStartOffset; offset < maxOffset; ) {
    const { batches, nextOffset } = await log.read({ offset, maxOffset, maxBytes: READ_BYTES, minOneBatch: true });
    if (nextOffset <= offset) break;
    offset = nextOffset;
    if (!(await replay(shard, batches, options))) return undefined;
  }
  if (isOver()) return undefined;
  shard.loaded(nowOf(options.clock));
  return shard;
}

/** False when it was cut short. */
async function replay(shard: GroupShard, batches: readonly Buffer[], options: LoadOptions): Promise<boolean> {
  const { clock, timers, isOver } = options;
  const now = nowOf(clock);
  let startedAt = now.monotonicMs;
  let records = 0;
  for (const record of decodeBatches(batches)) {
    shard.replay(record, now);
    records += 1;
    if (records % RECORDS_PER_LOOK !== 0 || clock.monotonic() - startedAt < SLICE_MS) continue;
    await othersGoOn(timers);
    if (isOver()) return false;
    startedAt = clock.monotonic();
  }
  await othersGoOn(timers);
  return !isOver();
}

function othersGoOn(timers: Timers): Promise<void> {
  const { promise, resolve } = deferred<void>();
  timers.after(0, resolve);
  return promise;
}

function nowOf(clock: Clock): Now {
  return { monotonicMs: clock.monotonic(), wallMs: clock.now() };
}
