/** What a consumer subscribes to, as the application says it, and whom it tells of assignments. */
import { BarnabasError } from '@barnabas/protocol';
import type { TopicPartition } from '../records.js';

/**
 * Told of what the consumer owns, one call after another; each is awaited. What one throws ends the loop or
 * run that reads. Seeks, pauses and commits may be made in them.
 */
export interface RebalanceListener {
  /** Partitions are the consumer's from now on; their first record comes when this has ended. */
  onAssigned?(partitions: readonly TopicPartition[]): void | Promise<void>;
  /** Partitions are being given up; what is being worked on is done, and what is done is committed after this. */
  onRevoked?(partitions: readonly TopicPartition[]): void | Promise<void>;
  /** Partitions may be another's already: nothing of them can be committed. Default onRevoked. */
  onLost?(partitions: readonly TopicPartition[]): void | Promise<void>;
}

/**
 * Topics: names, or a pattern that whole names must match, as text or as a regular expression without flags.
 * The coordinator matches it, in the part of RE2 that names need; internal topics never match.
 */
export type SubscribedTopics = string | readonly string[] | RegExp | { readonly pattern: string | RegExp };

export interface Subscription {
  readonly topics: readonly string[];
  /** Empty: none. */
  readonly pattern: string;
  readonly listener: RebalanceListener;
}

export const NO_SUBSCRIPTION: Subscription = Object.freeze({ topics: [], pattern: '', listener: {} });

export function toSubscription(selection: SubscribedTopics, listener: RebalanceListener): Subscription {
  if (typeof selection === 'string') return named([selection], listener);
  if (selection instanceof RegExp) return matching(selection, listener);
  if ('pattern' in selection) return matching(selection.pattern, listener);
  return named(selection, listener);
}

function named(topics: readonly string[], listener: RebalanceListener): Subscription {
  const isNames = Array.isArray(topics) && topics.every((topic) => typeof topic === 'string' && topic !== '');
  if (isNames && topics.length > 0) return { topics: [...new Set(topics)], pattern: '', listener };
  throw new BarnabasError(
    'INVALID_REQUEST',
    'subscribe takes at least one topic name, or a pattern; unsubscribe ends a subscription',
  );
}

function matching(pattern: string | RegExp, listener: RebalanceListener): Subscription {
  if (pattern instanceof RegExp && pattern.flags !== '') {
    throw new BarnabasError(
      'INVALID_REGULAR_EXPRESSION',
      `a pattern of topics has no flags: /${pattern.source}/${pattern.flags}`,
    );
  }
  const source = pattern instanceof RegExp ? pattern.source : pattern;
  if (typeof source === 'string' && source !== '') return { topics: [], pattern: source, listener };
  throw new BarnabasError('INVALID_REQUEST', 'a pattern of topics is not empty');
}
