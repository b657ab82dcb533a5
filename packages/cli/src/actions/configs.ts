/** `barnabas configs …`. */
import type { AlterConfigOp, ConfigEntry, ConfigResource } from '@barnabas/client';
import type { Action } from '../command-context.js';
import { UsageError } from '../errors.js';
import { formatTable } from '../terminal/table.js';

interface ResourceFlags {
  readonly topic?: string;
  readonly broker?: number;
}

interface DescribeFlags extends ResourceFlags {
  readonly all?: boolean;
  readonly key?: readonly string[];
}

export const describeConfigs: Action<DescribeFlags> = async (context, _args, flags) => {
  const resource = resourceOf(flags);
  const { all = false, key: keys = [] } = flags;
  const [described] = await context.withClient((client) => client.admin().describeConfigs([resource], { keys }));
  const isShown = (entry: ConfigEntry) => all || keys.length > 0 || entry.source !== 'DEFAULT_CONFIG';
  const entries = (described?.entries ?? []).filter(isShown);
  if (context.json) context.output.json({ resource, entries });
  else if (entries.length === 0)
    context.note(`${resource.type} ${resource.name} has nothing but defaults: see them with --all`);
  else {
    const rows = [...entries]
      .sort((left, right) => (left.key < right.key ? -1 : 1))
      .map(({ key, value, sensitive, source, readOnly }) => [
        key,
        sensitive ? '(hidden)' : value,
        source
          .toLowerCase()
          .replaceAll('_', ' ')
          .replace(/ config$/, ''),
        readOnly ? 'read only' : '',
      ]);
    context.output.line(formatTable(['key', 'value', 'source', ''], rows));
  }
  return undefined;
};

interface AlterFlags extends ResourceFlags {
  readonly set?: Readonly<Record<string, string>>;
  readonly delete?: readonly string[];
  readonly append?: Readonly<Record<string, string>>;
  readonly subtract?: Readonly<Record<string, string>>;
}

export const alterConfigs: Action<AlterFlags> = async (context, _args, flags) => {
  const resource = resourceOf(flags);
  const ops = operationsOf(flags);
  if (ops.length === 0) throw new UsageError('nothing to alter: give --set, --delete, --append or --subtract');
  await context.withClient((client) => client.admin().incrementalAlterConfigs([{ resource, ops }]));
  if (context.json) context.output.json({ resource, altered: ops.map(({ key }) => key) });
  else context.output.line(`altered ${resource.type} ${resource.name}: ${ops.map(({ key }) => key).join(', ')}`);
  return undefined;
};

function operationsOf(flags: AlterFlags): readonly AlterConfigOp[] {
  const withValues = (op: 'set' | 'append' | 'subtract') =>
    Object.entries(flags[op] ?? {}).map(([key, value]) => ({ key, op, value }));
  const deletions = (flags.delete ?? []).map((key) => ({ key, op: 'delete' as const }));
  return [...withValues('set'), ...deletions, ...withValues('append'), ...withValues('subtract')];
}

function resourceOf({ topic, broker }: ResourceFlags): ConfigResource {
  if (topic !== undefined) return { type: 'topic', name: topic };
  if (broker !== undefined) return { type: 'broker', name: String(broker) };
  throw new UsageError('of what? Give --topic NAME or --broker ID');
}
