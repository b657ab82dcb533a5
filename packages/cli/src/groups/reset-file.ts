/**
 * Offsets of groups as lines of CSV, as Kafka's tool exports and reads them: `topic,partition,offset` of
 * one group, `group,topic,partition,offset` of several. Pure.
 */
import { CliError } from '../errors.js';

export interface FileOffset {
  /** Undefined where the line names none. */
  readonly groupId: string | undefined;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

export function formatOffsets(
  offsets: readonly (FileOffset & { readonly groupId: string })[],
  isOfOne: boolean,
): string {
  return offsets
    .map(({ groupId, topic, partition, offset }) => {
      const fields = [topic, String(partition), String(offset)];
      return (isOfOne ? fields : [groupId, ...fields]).map(quoted).join(',');
    })
    .join('\n');
}

/** `where` names the file in messages. */
export function parseOffsets(text: string, where: string): readonly FileOffset[] {
  const lines = text.split(/\r?\n/).map((line, index) => ({ line: line.trim(), number: index + 1 }));
  const offsets = lines.filter(({ line }) => line !== '').map(({ line, number }) => parsed(line, where, number));
  if (offsets.length === 0) throw bad(where, 'it is empty');
  const seen = new Set<string>();
  for (const { groupId = '', topic, partition } of offsets) {
    const key = JSON.stringify([groupId, topic, partition]);
    if (seen.has(key)) throw bad(where, `${topic}-${partition} stands in it twice`);
    seen.add(key);
  }
  return offsets;
}

function parsed(line: string, where: string, number: number): FileOffset {
  const fields = fieldsOf(line);
  const [groupId, topic, partition, offset] = fields?.length === 3 ? [undefined, ...fields] : (fields ?? []);
  const isWhole = (text: string | undefined) => /^\d{1,15}$/.test(text ?? '');
  if (
    fields === undefined ||
    fields.length > 4 ||
    topic === undefined ||
    topic === '' ||
    !isWhole(partition) ||
    !isWhole(offset)
  ) {
    throw bad(where, `line ${number} is ${JSON.stringify(line)}`);
  }
  return { groupId, topic, partition: Number(partition), offset: Number(offset) };
}

/** Undefined where a quote is not closed. */
function fieldsOf(line: string): string[] | undefined {
  const fields: string[] = [];
  const pattern = /\s*(?:"((?:[^"]|"")*)"|([^",]*))\s*(,|$)/y;
  for (;;) {
    const found = pattern.exec(line);
    if (found === null) return undefined;
    fields.push(found[1]?.replaceAll('""', '"') ?? (found[2] ?? '').trim());
    if (found[3] === '') return fields;
  }
}

function quoted(field: string): string {
  return /[",\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}

function bad(where: string, problem: string): CliError {
  const form = 'topic,partition,offset, or group,topic,partition,offset for several groups';
  return new CliError(`${where} has no offsets that can be read: ${problem}; a line is ${form}, as --export prints it`);
}
