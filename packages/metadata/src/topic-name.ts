/** Kafka's rules for topic names, in one place. */

/** Longest topic name: file systems allow 255 bytes, and a partition number follows the name. */
export const MAX_TOPIC_NAME_LENGTH = 249;

const LEGAL = /^[a-zA-Z0-9._-]+$/;

/** What is wrong with a topic name, as a sentence; undefined if nothing is. */
export function topicNameProblem(name: string): string | undefined {
  if (name === '') return 'a topic name must not be empty';
  if (name === '.' || name === '..') return `a topic must not be named "${name}"`;
  if (name.length > MAX_TOPIC_NAME_LENGTH) {
    return `the topic name has ${name.length} characters; at most ${MAX_TOPIC_NAME_LENGTH} are allowed`;
  }
  if (!LEGAL.test(name)) {
    return `topic name ${JSON.stringify(name)} has a character other than a-z, A-Z, 0-9, '.', '_' and '-'`;
  }
  return undefined;
}

/** Metric names write '.' as '_', so `a.b` and `a_b` would be one there. Undefined for names with neither. */
export function collisionKey(name: string): string | undefined {
  return name.includes('.') || name.includes('_') ? name.replaceAll('.', '_') : undefined;
}

/** Topics that Barnabas keeps for itself. */
const INTERNAL = new Set(['__consumer_offsets', '__transaction_state', '__share_group_state']);

export function isInternalTopic(name: string): boolean {
  return INTERNAL.has(name);
}
