/** Readers of option values for commander. Each refuses what it does not take and says what it does. */
import { InvalidArgumentError } from 'commander';

/** A whole number within limits. */
export function wholeNumber(min: number, max: number = Number.MAX_SAFE_INTEGER) {
  return (text: string): number => {
    const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Must be a whole number${rangeText(value, min, max)}.`);
  };
}

/** The end of the range that no number would be expected to reach is named only where it was. */
function rangeText(value: number, min: number, max: number): string {
  if (max !== Number.MAX_SAFE_INTEGER) return ` from ${min} to ${max}`;
  if (value > max) return `, at most ${max}`;
  return min === Number.MIN_SAFE_INTEGER && !(value < min) ? '' : `, at least ${min}`;
}

/** A group.id or a group.instance.id. */
export function groupName(text: string): string {
  if (text.length >= 1 && text.length <= 255) return text;
  throw new InvalidArgumentError('Must have 1 to 255 characters.');
}

export const port = wholeNumber(0, 65_535);

/** node.id, kept as text: arguments of commands are texts. */
export function nodeId(text: string): string {
  return String(wholeNumber(0, 2 ** 31 - 1)(text));
}

/** Gathers whole numbers of an option that may be given several times. */
export function gatherNumbers(text: string, before: readonly number[] | undefined): readonly number[] {
  return [...(before ?? []), wholeNumber(0, 2 ** 31 - 1)(text)];
}

/** Gathers the values of an option that may be given several times. */
export function gather(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}

/** `1,2,3`, every one once. */
export function brokerIds(text: string): readonly number[] {
  const ids = text.split(',').map((part) => (/^\d{1,10}$/.test(part.trim()) ? Number(part) : Number.NaN));
  if (ids.some((id) => !(id < 2 ** 31)) || new Set(ids).size < ids.length) {
    throw new InvalidArgumentError('Must be different broker ids with commas between them.');
  }
  return ids;
}

/** Kafka's form: partitions with commas between them, each with its brokers and colons between those: `1:2,2:3`. */
export function replicaAssignment(text: string): readonly (readonly number[])[] {
  try {
    return text.split(',').map((part) => brokerIds(part.replaceAll(':', ',')));
  } catch {
    throw new InvalidArgumentError('Must be brokers for each partition, as in 1:2,2:3.');
  }
}

/** `key=value`, gathered; the last of a key wins. */
export function keyValue(
  text: string,
  before: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> {
  const at = text.indexOf('=');
  if (at <= 0) throw new InvalidArgumentError('Must be key=value.');
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

/** `all`, `1` or `0`. */
export function acks(text: string): 'all' | 1 | 0 {
  switch (text) {
    case 'all':
    case '-1':
      return 'all';
    case '1':
      return 1;
    case '0':
      return 0;
    default:
      throw new InvalidArgumentError('Must be all, 1 or 0.');
  }
}

/** KIP-853's form: `1@host:port:directoryId,2@…`. */
export function initialControllers(
  text: string,
): readonly { readonly id: number; readonly endpoint: string; readonly directoryId: string }[] {
  const controllers = text.split(',').map((part) => {
    const [, id = '', endpoint = '', directoryId = ''] =
      /^(\d{1,10})@(.+:\d{1,5}):([A-Za-z0-9_-]{22})$/.exec(part.trim()) ?? [];
    if (directoryId !== '') bootstrap(endpoint);
    return { id: id === '' ? Number.NaN : Number(id), endpoint, directoryId };
  });
  const distinct = (values: readonly unknown[]) => new Set(values).size === controllers.length;
  const isSound =
    controllers.every(({ id }) => id < 2 ** 31) &&
    distinct(controllers.map(({ id }) => id)) &&
    distinct(controllers.map(({ endpoint }) => endpoint)) &&
    distinct(controllers.map(({ directoryId }) => directoryId));
  if (isSound) return controllers;
  throw new InvalidArgumentError(
    'Must be different id@host:port:directoryId with commas between them; "barnabas storage random-uuid" makes directory ids.',
  );
}

/** A UUID in base64url, as `barnabas storage random-uuid` makes them. */
export function uuid(text: string): string {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(text)) return text;
  throw new InvalidArgumentError('Must be an id as "barnabas storage random-uuid" makes them.');
}

/** One address or several with commas between them: `host:port`. */
export function bootstrap(text: string): readonly string[] {
  const addresses = text.split(',').map((part) => part.trim());
  const legal = /^(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):\d{1,5}$/;
  for (const address of addresses) {
    if (!legal.test(address) || Number(address.slice(address.lastIndexOf(':') + 1)) > 65_535) {
      throw new InvalidArgumentError('Must be host:port, or several with commas between them.');
    }
  }
  return addresses;
}
