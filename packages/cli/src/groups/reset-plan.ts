/**
 * Where a reset puts a group, partition by partition: from what is committed, where the log begins and
 * ends, and what a search by time has found. Pure. As Kafka's kafka-consumer-groups: an offset outside of
 * the log becomes the nearest one in it, with a warning; of a time that no record has reached, the end.
 */

export type Reset =
  | { readonly to: 'earliest' | 'latest' | 'current' | 'time' }
  | { readonly to: 'offset'; readonly offset: number }
  | { readonly to: 'shift'; readonly by: number };

export interface PartitionFacts {
  readonly topic: string;
  readonly partition: number;
  /** Undefined: nothing is committed. */
  readonly committed: number | undefined;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  /** `time`: the first record at or after it; undefined where there is none. */
  readonly found?: number | undefined;
}

export interface PlannedOffset {
  readonly topic: string;
  readonly partition: number;
  readonly committed: number | undefined;
  readonly offset: number;
  /** What the person who asked might not expect. */
  readonly warning: string | undefined;
}

/** Undefined where the reset says nothing of the partition: a shift of what is not committed. */
export function planOffset(reset: Reset, facts: PartitionFacts): PlannedOffset | undefined {
  const { topic, partition, committed, logStartOffset, logEndOffset } = facts;
  const name = `${topic}-${partition}`;
  const planned = (offset: number, warning?: string): PlannedOffset => ({
    ...{ topic, partition, committed, offset, warning },
  });
  switch (reset.to) {
    case 'earliest':
      return planned(logStartOffset);
    case 'latest':
      return planned(logEndOffset);
    case 'current':
      if (committed !== undefined) return planned(committed);
      return planned(logEndOffset, `nothing is committed for ${name}: it goes to the end, ${logEndOffset}`);
    case 'time':
      if (facts.found !== undefined) return planned(facts.found);
      return planned(logEndOffset, `no record of ${name} is that young: it goes to the end, ${logEndOffset}`);
    case 'offset':
      return within(facts, reset.offset, planned);
    case 'shift':
      return committed === undefined ? undefined : within(facts, committed + reset.by, planned);
  }
}

function within(
  { topic, partition, logStartOffset, logEndOffset }: PartitionFacts,
  wanted: number,
  planned: (offset: number, warning?: string) => PlannedOffset,
): PlannedOffset {
  const name = `${topic}-${partition}`;
  if (wanted > logEndOffset)
    return planned(logEndOffset, `${wanted} is above the end of ${name}: it goes to ${logEndOffset}`);
  if (wanted < logStartOffset) {
    return planned(logStartOffset, `${wanted} is below the start of ${name}: it goes to ${logStartOffset}`);
  }
  return planned(wanted);
}
