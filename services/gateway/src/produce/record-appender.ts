/**
 * Records of thin clients, appended by producers that all clients share: one for each level of acks,
 * made when it is first needed. Sharing is what makes batches of records that come one by one.
 *
 * Records of an entry that go to one partition are appended in their order. Which partition: the one
 * the entry names, else the key's by Kafka's hash, else a sticky one.
 */
import type { RecordMetadata, ProducerRecord, TopicMetadata } from '@barnabas/client';
import type { v1 } from '@barnabas/protocol';
import type { Clock } from '@barnabas/common';
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import { failed } from './placement.js';
import type { Placement } from './placement.js';

/** The part of a producer that is used here. */
export interface RecordSender {
  send(record: ProducerRecord): Promise<RecordMetadata>;
  close(timeoutMs: number): Promise<void>;
}

export interface RecordAppenderParts {
  readonly makeSender: (acks: v1.Acks) => RecordSender;
  readonly clock: Clock;
  readonly hasLogAppendTime: (topic: string) => boolean;
}

export class RecordAppender {
  readonly #parts: RecordAppenderParts;
  readonly #senders = new Map<v1.Acks, RecordSender>();

  constructor(parts: RecordAppenderParts) {
    this.#parts = parts;
  }

  /** Resolves when every record has its outcome. One placement for each partition, and for each error. */
  async append(
    topic: TopicMetadata,
    partition: number | undefined,
    records: readonly v1.Record[],
    acks: v1.Acks,
  ): Promise<readonly Placement[]> {
    const sender = this.#sender(acks);
    const now = this.#parts.clock.now();
    const outcomes = records.map((record) =>
      sender.send(toProducerRecord(topic.name, partition, record, now)).catch(toBarnabasError),
    );
    return this.#placements(topic.name, records, now, await Promise.all(outcomes), partition);
  }

  /** What is not acknowledged within `timeoutMs` fails. */
  async close(timeoutMs: number): Promise<void> {
    await Promise.all([...this.#senders.values()].map((sender) => sender.close(timeoutMs)));
  }

  #sender(acks: v1.Acks): RecordSender {
    let sender = this.#senders.get(acks);
    if (sender === undefined) {
      sender = this.#parts.makeSender(acks);
      this.#senders.set(acks, sender);
    }
    return sender;
  }

  /** Groups outcomes by partition, and failures by their error. */
  #placements(
    topic: string,
    records: readonly v1.Record[],
    now: number,
    outcomes: readonly (RecordMetadata | BarnabasError)[],
    asked: number | undefined,
  ): Placement[] {
    const groups = new Map<string, { readonly first: RecordMetadata | BarnabasError; readonly indexes: number[] }>();
    outcomes.forEach((outcome, index) => {
      const key = outcome instanceof BarnabasError ? outcome.errorName : String(outcome.partition);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { first: outcome, indexes: [index] });
      else group.indexes.push(index);
    });
    return [...groups.values()].map(({ first, indexes }) => {
      const recordIndexes = indexes.length === outcomes.length ? [] : indexes;
      if (first instanceof BarnabasError) return failed(asked ?? -1, first, recordIndexes);
      const { partition, offset, timestamp } = first;
      // A time other than the record's own is the leader's: brokers may have that as their default.
      const own = records[indexes[0] ?? 0]?.timestampMs ?? now;
      const isStamped = timestamp !== own || this.#parts.hasLogAppendTime(topic);
      return {
        partition,
        baseOffset: offset,
        logAppendTimeMs: isStamped ? timestamp : -1,
        logStartOffset: -1,
        error: undefined,
        recordIndexes,
      };
    });
  }
}

function toProducerRecord(
  topic: string,
  partition: number | undefined,
  { key, value, headers, timestampMs }: v1.Record,
  now: number,
): ProducerRecord {
  return {
    topic,
    key: key ?? null,
    value: value ?? null,
    timestamp: timestampMs ?? now,
    ...(partition === undefined ? {} : { partition }),
    ...(headers.length === 0 ? {} : { headers: headers.map(toHeader) }),
  };
}

function toHeader({ key, value }: v1.Header): { key: string; value: Uint8Array | null } {
  return { key, value: value ?? null };
}
