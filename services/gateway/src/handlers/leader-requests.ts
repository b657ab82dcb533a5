/**
 * LogService/ListOffsets and DeleteRecords: each entry is asked of the leader of its partition, all
 * leaders at once, and again where the failure passes.
 *
 * The calls fail with INVALID_REQUEST for too many entries. Each entry has its own error:
 * INVALID_TOPIC_EXCEPTION, UNKNOWN_TOPIC_OR_PARTITION, INVALID_REQUEST, OFFSET_OUT_OF_RANGE (deletion
 * above the high watermark), UNKNOWN_LEADER_EPOCH (ListOffsets: the client knows a later leader than this
 * gateway), LEADER_NOT_AVAILABLE when no leader answers in time, KAFKA_STORAGE_ERROR.
 */
import { callLeaders } from '@barnabas/client';
import type { ClusterRouter, LeaderCall, TopicMetadata } from '@barnabas/client';
import { BarnabasError, errorToProto, v1 } from '@barnabas/protocol';
import type { CallContext } from '@barnabas/rpc';
import type { FollowedView } from '@barnabas/subscribe/cluster';
import { checkNotBehind, checkPartition } from '../cluster/checks.js';
import { timeToTry } from './deadline.js';

const MAX_ENTRIES = 10_000;

export interface LeaderRequestParts {
  readonly router: ClusterRouter;
  readonly view: FollowedView;
}

export async function listOffsets(
  parts: LeaderRequestParts,
  request: v1.ListOffsetsRequest,
  context: Pick<CallContext, 'timeoutMs'>,
): Promise<v1.ListOffsetsResponse> {
  const { entries, isolationLevel } = request;
  const outcomes = await ask(parts, entries, context, {
    check: ({ partition, currentLeaderEpoch }, known) => checkNotBehind(known, partition, currentLeaderEpoch),
    send: async (channel, part, options, leaderEpochs) => {
      const leader = channel.client(v1.LogServiceDefinition);
      const asked = part.map((entry, index) => ({ ...entry, currentLeaderEpoch: leaderEpochs[index] }));
      return (await leader.listOffsets({ entries: asked, isolationLevel }, options)).results;
    },
  });
  const results = outcomes.map((outcome, index) => {
    if (!(outcome instanceof BarnabasError)) return outcome;
    const { topic = '', partition = -1 } = entries[index] ?? {};
    return { topic, partition, offset: -1, timestampMs: -1, leaderEpoch: -1, error: errorToProto(outcome) };
  });
  return { results };
}

export async function deleteRecords(
  parts: LeaderRequestParts,
  request: v1.DeleteRecordsRequest,
  context: Pick<CallContext, 'timeoutMs'>,
): Promise<v1.DeleteRecordsResponse> {
  const { entries } = request;
  const outcomes = await ask(parts, entries, context, {
    send: async (channel, part, options) => {
      const leader = channel.client(v1.LogServiceDefinition);
      return (await leader.deleteRecords({ entries: part }, options)).results;
    },
  });
  const results = outcomes.map((outcome, index) => {
    if (!(outcome instanceof BarnabasError)) return outcome;
    const { topic = '', partition = -1 } = entries[index] ?? {};
    return { topic, partition, logStartOffset: -1, error: errorToProto(outcome) };
  });
  return { results };
}

interface LeaderCallOf<Entry extends PartitionEntry, Result extends EntryResult>
  extends Pick<LeaderCall<Entry, Result>, 'send'> {
  /** Throws if this gateway cannot ask for the entry now; the partition exists. */
  readonly check?: (entry: Entry, topic: TopicMetadata) => void;
}

interface EntryResult {
  readonly error?: v1.Error | undefined;
}

interface PartitionEntry {
  readonly topic: string;
  readonly partition: number;
}

/** The outcome of each entry, in order. Those that name no partition that exists are never asked of anybody. */
async function ask<Entry extends PartitionEntry, Result extends EntryResult>(
  { router, view }: LeaderRequestParts,
  entries: readonly Entry[],
  context: Pick<CallContext, 'timeoutMs'>,
  { check, send }: LeaderCallOf<Entry, Result>,
): Promise<(Result | BarnabasError)[]> {
  if (entries.length > MAX_ENTRIES) {
    throw new BarnabasError('INVALID_REQUEST', `a request has at most ${MAX_ENTRIES} entries: split it`);
  }
  const refusals = entries.map((entry) => refusal(view, entry, check));
  const asked = entries.filter((_, index) => refusals[index] === undefined);
  const call = { entries: asked, send, timeoutMs: timeToTry(context) };
  const answers = (await callLeaders<Entry, Result>(router, call)).values();
  return refusals.map((refused) => refused ?? (answers.next().value as Result | BarnabasError));
}

function refusal<Entry extends PartitionEntry>(
  view: FollowedView,
  entry: Entry,
  check: ((entry: Entry, topic: TopicMetadata) => void) | undefined,
): BarnabasError | undefined {
  try {
    const topic = view.knownTopic(entry.topic);
    checkPartition(topic, entry.partition);
    check?.(entry, topic);
    return undefined;
  } catch (error) {
    if (error instanceof BarnabasError) return error;
    throw error;
  }
}
