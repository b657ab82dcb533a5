/**
 * Where an application looks at or changes what passes: Kafka's producer and consumer interceptors.
 * Headers of calls (credentials, trace ids) are the rpc package's ClientInterceptor.
 *
 * Interceptors run in the order given. One that throws is logged and passed over; it never fails a
 * record.
 */
import type { BarnabasError } from '@barnabas/protocol';
import type { ConsumerRecord, ProducerRecord, RecordMetadata } from './records.js';

export interface ProducerInterceptor {
  /** Before the record is partitioned; returns it, or another in its place. */
  onSend?(record: ProducerRecord): ProducerRecord;
  /** When the record's outcome is known: metadata or error, and the record as it was sent. */
  onAcknowledgement?(
    metadata: RecordMetadata | undefined,
    error: BarnabasError | undefined,
    record: ProducerRecord,
  ): void;
}

export interface ConsumerInterceptor {
  /** Before records reach the application; returns them, or others in their place. All are of one partition. */
  onConsume?(records: readonly ConsumerRecord[]): readonly ConsumerRecord[];
}
