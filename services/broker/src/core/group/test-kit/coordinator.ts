/**
 * A coordinator in a test's hand: a shard, the log under it as bytes, and the rules of group-shard.ts
 * kept. `move` is another broker taking over: a new shard from the same bytes, or from those that a
 * cleaner would have left of them.
 */
import type { ImageChanges } from '@barnabas/metadata';
import { decodeGroupRecord, encodeGroupRecord } from '../record-codec.js';
import type { EncodedGroupRecord } from '../record-codec.js';
import type { Decision, Now, Nudge } from '../plan.js';
import { GroupShard } from '../group-shard.js';
import type { HeartbeatRequest, HeartbeatResponse } from '../heartbeat-request.js';
import type { CommitRequest } from '../offsets.js';
import { DEFAULT_GROUP_SETTINGS } from '../settings.js';
import type { GroupSettings } from '../settings.js';
import { TestMetadata } from './metadata.js';

export class TestCoordinator {
  readonly settings: GroupSettings;
  readonly metadata: TestMetadata;
  shard: GroupShard;
  log: EncodedGroupRecord[] = [];
  nudges: Nudge[] = [];
  now: Now = { monotonicMs: 0, wallMs: 1_700_000_000_000 };

  constructor(options: { settings?: Partial<GroupSettings>; metadata?: TestMetadata } = {}) {
    this.settings = { ...DEFAULT_GROUP_SETTINGS, ...options.settings };
    this.metadata = options.metadata ?? new TestMetadata();
    this.shard = new GroupShard(this.settings);
    this.shard.loaded(this.now);
  }

  /** What a decision answers, once its records stand in the log. `keep` cuts the append short, as a dying broker does. */
  take<R>(decision: Decision<R>, keep = Infinity): R {
    for (const record of decision.records.slice(0, keep)) {
      this.log.push(encodeGroupRecord(record));
      this.shard.replay(record, this.now);
    }
    this.shard.check(decision.records);
    this.shard.checkAll();
    this.nudges.push(...decision.nudges);
    return decision.response;
  }

  heartbeat(request: HeartbeatRequest): HeartbeatResponse {
    return this.take(this.shard.heartbeat(request, this.now, this.metadata.image));
  }

  commit(request: CommitRequest): (string | undefined)[] {
    const outcomes = this.take(this.shard.commitOffsets(request, this.now, this.metadata.image));
    return outcomes.map(({ error }) => error?.errorName);
  }

  follow(changes: ImageChanges): void {
    this.take(this.shard.metadataChanged(this.metadata.image, changes));
  }

  pass(ms: number): void {
    this.now = { monotonicMs: this.now.monotonicMs + ms, wallMs: this.now.wallMs + ms };
  }

  tick(): void {
    for (const decision of this.shard.tick(this.now, this.metadata.image)) this.take(decision);
  }

  /** Time passes in steps that an awake coordinator would take. */
  passAwake(ms: number): void {
    const step = this.settings.sessionTimeoutMs / 4;
    for (let left = ms; left > 0; left -= step) {
      this.pass(Math.min(step, left));
      this.tick();
    }
  }

  /** Another broker takes over. */
  move(options: { readonly compacted?: boolean } = {}): void {
    if (options.compacted === true) this.log = compacted(this.log);
    this.shard = new GroupShard(this.settings);
    for (const bytes of this.log) this.shard.replay(decodeGroupRecord(bytes), this.now);
    this.shard.loaded(this.now);
    this.take(this.shard.metadataChanged(this.metadata.image));
  }
}

/** The last record of each key, in place; tombstones stay. */
export function compacted(log: readonly EncodedGroupRecord[]): EncodedGroupRecord[] {
  const last = new Map<string, number>();
  for (const [index, { key }] of log.entries()) last.set(key.join(), index);
  return log.filter(({ key }, index) => last.get(key.join()) === index);
}
