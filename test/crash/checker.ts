/**
 * Judges a history of acknowledged writes against what the log gave back. Pure.
 *
 * The anomalies carry the names of Jepsen's Kafka tests:
 *   lost-write            acknowledged, and not in the log
 *   duplicate             in the log more than once
 *   inconsistent-offsets  acknowledged at one offset, found at another
 *   nonmonotonic-send     one producer's records in an order other than sent
 *   unsent                in the log, and never sent
 */

/** A record's identity: which producer sent it, as its how-manieth to this partition. */
export interface Sent {
  readonly producer: string;
  readonly partition: number;
  readonly sequence: number;
}

export interface Acknowledged extends Sent {
  readonly offset: number;
}

export interface Found extends Sent {
  readonly offset: number;
}

export interface History {
  /** Everything handed to a producer, acknowledged or not. */
  readonly sent: readonly Sent[];
  readonly acknowledged: readonly Acknowledged[];
  /** Every record of the log, by partition in order of offset. */
  readonly found: readonly Found[];
}

export type AnomalyKind = 'lost-write' | 'duplicate' | 'inconsistent-offsets' | 'nonmonotonic-send' | 'unsent';

export interface Anomaly {
  readonly kind: AnomalyKind;
  readonly detail: string;
}

const identity = (record: Sent) => `${record.producer}/${record.partition}/${record.sequence}`;

export function check(history: History): Anomaly[] {
  const anomalies: Anomaly[] = [];
  const report = (kind: AnomalyKind, detail: string) => anomalies.push({ kind, detail });

  const sent = new Set(history.sent.map(identity));
  const foundAt = new Map<string, number>();
  const lastSequence = new Map<string, number>();
  for (const record of history.found) {
    const id = identity(record);
    if (!sent.has(id)) report('unsent', `${id} at offset ${record.offset}`);
    const earlier = foundAt.get(id);
    if (earlier !== undefined) report('duplicate', `${id} at offsets ${earlier} and ${record.offset}`);
    else foundAt.set(id, record.offset);

    const stream = `${record.producer}/${record.partition}`;
    const last = lastSequence.get(stream) ?? -1;
    if (record.sequence < last)
      report('nonmonotonic-send', `${id} at offset ${record.offset} follows sequence ${last}`);
    lastSequence.set(stream, Math.max(last, record.sequence));
  }

  for (const record of history.acknowledged) {
    const offset = foundAt.get(identity(record));
    if (offset === undefined) report('lost-write', `${identity(record)} acknowledged at offset ${record.offset}`);
    else if (offset !== record.offset) {
      report('inconsistent-offsets', `${identity(record)} acknowledged at ${record.offset}, found at ${offset}`);
    }
  }
  return anomalies;
}
