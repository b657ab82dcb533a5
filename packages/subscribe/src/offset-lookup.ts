/**
 * Finds where logs begin and end, for partitions without a committed offset and for seeks. Asks all
 * leaders at once, and again for as long as somebody waits for the answer.
 */
import { callLeaders } from '@barnabas/client';
import type { ClusterRouter } from '@barnabas/client';
import { BarnabasError, v1 } from '@barnabas/protocol';
import type { Located, TopicPartition } from './core/index.js';

export interface LookUp extends TopicPartition {
  readonly generation: number;
  readonly end: 'earliest' | 'latest';
}

export interface OffsetLookupPorts {
  isWanted(generation: number): boolean;
  /** Once for each look-up that is wanted; together what is found together. */
  onFound(found: readonly Located[]): void;
}

/** One attempt; a leader that is being elected is waited for. */
const ATTEMPT_MS = 30_000;
const RETRY_MS = 1_000;

export async function lookUp(
  router: ClusterRouter,
  entries: readonly LookUp[],
  isolationLevel: v1.IsolationLevel,
  ports: OffsetLookupPorts,
): Promise<void> {
  let open = entries;
  while (open.length > 0) {
    const results = await callLeaders(router, {
      entries: open,
      timeoutMs: ATTEMPT_MS,
      send: async (channel, part, options) => {
        const request = { entries: part.map(toEntry), isolationLevel };
        return (await channel.client(v1.LogServiceDefinition).listOffsets(request, options)).results;
      },
    });
    const failed: LookUp[] = [];
    const found: Located[] = [];
    open.forEach((entry, index) => {
      const result = results[index];
      if (result === undefined || !ports.isWanted(entry.generation)) return;
      if (result instanceof BarnabasError && result.retriable) failed.push(entry);
      else
        found.push({ generation: entry.generation, offset: result instanceof BarnabasError ? result : result.offset });
    });
    if (found.length > 0) ports.onFound(found);
    open = failed;
    if (open.length > 0) await new Promise<void>((resolve) => router.environment.timers.after(RETRY_MS, resolve));
    open = open.filter(({ generation }) => ports.isWanted(generation));
  }
}

function toEntry({ topic, partition, end }: LookUp): v1.ListOffsetsEntry {
  return {
    topic,
    partition,
    spec: end === 'earliest' ? { $case: 'earliest', earliest: true } : { $case: 'latest', latest: true },
  };
}
