/**
 * What is checked of a client before anything is done for it, and what it asks for where it says
 * nothing.
 *
 * INVALID_GROUP_ID, INVALID_TOPIC_EXCEPTION, INVALID_REQUEST. Whether a pattern compiles, an assignor is
 * there and the topics may be read is the coordinator's to say.
 */
import { topicNameProblem } from '@barnabas/metadata';
import { BarnabasError, v1 } from '@barnabas/protocol';
import type { MembershipOptions, MembershipToResume } from '@barnabas/client';
import type { SubscriptionSettings } from './core/index.js';

const MAX_ID_LENGTH = 255;
const MAX_TOPICS = 10_000;
const MAX_PATTERN_LENGTH = 1_000;
const MAX_RESUMED = 100_000;
/** Kafka's defaults of max.poll.interval.ms and auto.commit.interval.ms. */
const MAX_POLL_INTERVAL_MS = 300_000;
const AUTO_COMMIT_INTERVAL_MS = 5_000;
const ONLY_THE_CLIENT_COMMITS = -1;
const BY_ACK_CREDIT = { records: 5_000, bytes: 8 * 1024 * 1024 };
const NO_CREDIT = { records: 0, bytes: 0 };

const CHOICES = {
  delivery: v1.DeliveryMode,
  creditMode: v1.CreditMode,
  isolationLevel: v1.IsolationLevel,
  autoOffsetReset: v1.AutoOffsetReset,
} as const;
type Choice = keyof typeof CHOICES;

export interface CheckedStart {
  readonly membership: Omit<MembershipOptions, 'clientHost'>;
  readonly settings: SubscriptionSettings;
  readonly isolationLevel: v1.IsolationLevel;
  readonly rackId: string;
}

export function checkStart(start: v1.SubscribeStart): CheckedStart {
  const { groupId, topics, pattern, instanceId, rackId, clientId, assignor } = start;
  if (groupId.length < 1 || groupId.length > MAX_ID_LENGTH) {
    throw new BarnabasError('INVALID_GROUP_ID', `group_id has 1 to ${MAX_ID_LENGTH} characters`, {
      length: groupId.length,
    });
  }
  for (const [name, value] of Object.entries({ instanceId, rackId, clientId, assignor })) {
    if (value.length > MAX_ID_LENGTH) throw invalid(`${snakeCase(name)} has at most ${MAX_ID_LENGTH} characters`);
  }
  checkSubscription(topics, pattern);
  for (const [field, values] of Object.entries(CHOICES)) checkChoice(field, values, start[field as Choice]);
  const { maxPollIntervalMs, autoCommitIntervalMs } = start;
  if (maxPollIntervalMs < 0) throw invalid('max_poll_interval_ms must not be negative; 0 means 300,000');
  if (autoCommitIntervalMs < ONLY_THE_CLIENT_COMMITS) {
    throw invalid('auto_commit_interval_ms is a time, 0 for 5,000, or -1: only SubscribeCommit commits');
  }
  const settings = { ...settingsOf(start), maxPollIntervalMs: maxPollIntervalMs || MAX_POLL_INTERVAL_MS };
  const membership = {
    ...{ groupId, topics, pattern, instanceId, rackId, clientId, assignor },
    rebalanceTimeoutMs: settings.maxPollIntervalMs,
    isResumable: true,
    ...(start.resume && { resume: resumeOf(start.resume) }),
  };
  return { membership, settings, isolationLevel: start.isolationLevel, rackId };
}

/** Also when the client changes them. */
export function checkSubscription(topics: readonly string[], pattern: string): void {
  if (topics.length === 0 && pattern === '') {
    throw invalid('name at least one topic, or a pattern: a member of a group subscribes to something');
  }
  if (topics.length > MAX_TOPICS) throw invalid(`at most ${MAX_TOPICS} topics: a pattern can name more`);
  if (pattern.length > MAX_PATTERN_LENGTH) throw invalid(`a pattern has at most ${MAX_PATTERN_LENGTH} characters`);
  for (const topic of topics) {
    const problem = topicNameProblem(topic);
    if (problem !== undefined) throw new BarnabasError('INVALID_TOPIC_EXCEPTION', problem);
  }
}

/** What this node does not know it cannot do: a client that is newer must hear of it. */
function checkChoice(field: string, values: Readonly<Record<string, string | number>>, value: number): void {
  if (typeof values[value] === 'string') return;
  const known = Object.entries(values).flatMap(([name, one]) => (typeof one === 'number' ? `${name} (${one})` : []));
  throw invalid(`${snakeCase(field)} ${value} is not known here: it is one of ${known.join(', ')}`);
}

function settingsOf(start: v1.SubscribeStart): Omit<SubscriptionSettings, 'maxPollIntervalMs'> {
  const { autoCommitIntervalMs, resume } = start;
  const creditMode = start.creditMode === v1.CreditMode.EXPLICIT ? 'explicit' : 'by-ack';
  return {
    delivery: start.delivery === v1.DeliveryMode.AT_MOST_ONCE ? 'at-most-once' : 'at-least-once',
    creditMode,
    credit: creditOf(start, creditMode),
    autoCommitIntervalMs:
      autoCommitIntervalMs === ONLY_THE_CLIENT_COMMITS ? undefined : autoCommitIntervalMs || AUTO_COMMIT_INTERVAL_MS,
    autoOffsetReset: resetOf(start.autoOffsetReset),
    resumed: (resume?.owned ?? []).map(({ leaderEpoch = -1, ...position }) => ({ ...position, leaderEpoch })),
  };
}

function creditOf({ credit }: v1.SubscribeStart, creditMode: SubscriptionSettings['creditMode']): v1.SubscribeCredit {
  if (credit === undefined) return creditMode === 'by-ack' ? BY_ACK_CREDIT : NO_CREDIT;
  const { records, bytes } = credit;
  if (records < 0 || bytes < 0) throw invalid('credit must not be negative');
  if (creditMode === 'by-ack' && (records === 0 || bytes === 0)) {
    throw invalid('with credit BY_ACK the first credit is the window: both its records and its bytes are above 0');
  }
  return credit;
}

function resetOf(reset: v1.AutoOffsetReset): SubscriptionSettings['autoOffsetReset'] {
  if (reset === v1.AutoOffsetReset.EARLIEST) return 'earliest';
  return reset === v1.AutoOffsetReset.NONE ? 'none' : 'latest';
}

function resumeOf({ memberId, memberEpoch, incarnation, owned }: v1.SubscribeResume): MembershipToResume {
  if (memberId.length < 1 || memberId.length > MAX_ID_LENGTH) {
    throw invalid(`resume.member_id is the one that joined brought, 1 to ${MAX_ID_LENGTH} characters`);
  }
  if (memberEpoch < 1) throw invalid('resume.member_epoch is that of joined or of the last assigned, 1 or more');
  if (incarnation < 2) {
    throw invalid('resume.incarnation is that of joined plus 1, and one more with each attempt: 2 or more');
  }
  if (owned.length > MAX_RESUMED) throw invalid(`resume.owned has at most ${MAX_RESUMED} partitions`);
  for (const { topic, partition, offset } of owned) {
    if (partition < 0 || offset < 0) throw invalid(`resume.owned: ${topic}-${partition} at ${offset} is no position`);
  }
  return { memberId, memberEpoch, incarnation, owned: owned.map(({ topic, partition }) => ({ topic, partition })) };
}

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function invalid(why: string): BarnabasError {
  return new BarnabasError('INVALID_REQUEST', why);
}
