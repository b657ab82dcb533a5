/** `barnabas topics …`, but for describe: topics-describe.ts. */
import type { Action } from '../command-context.js';
import { CliError, UsageError, hasCode } from '../errors.js';
import { formatTable } from '../terminal/table.js';
import { count } from '../text/quantities.js';

interface CreateFlags {
  readonly partitions?: number;
  readonly replicationFactor?: number;
  readonly replicaAssignment?: readonly (readonly number[])[];
  readonly config?: Readonly<Record<string, string>>;
  readonly ifNotExists?: boolean;
}

export const createTopics: Action<CreateFlags> = async (context, names, flags) => {
  const { partitions, replicationFactor, replicaAssignment, config, ifNotExists = false } = flags;
  const settings = {
    ...(partitions === undefined ? {} : { partitions }),
    ...(replicationFactor === undefined ? {} : { replicationFactor }),
    ...(replicaAssignment === undefined ? {} : { assignments: replicaAssignment }),
    ...(config === undefined ? {} : { configs: config }),
  };
  const outcomes = await context.withClient((client) =>
    oneByOne(
      names,
      async (name) => {
        const [created] = await client.admin().createTopics([{ name, ...settings }]);
        return { created: true, ...created };
      },
      ifNotExists ? 'TOPIC_ALREADY_EXISTS' : undefined,
    ),
  );
  for (const { name, result } of outcomes) {
    if (context.json) context.output.json(result ?? { name, created: false });
    else if (result === undefined) context.output.line(`${name} exists already`);
    else
      context.output.line(
        `created ${name}: ${count(result.partitions ?? 0, 'partition')}, replication factor ${result.replicationFactor}`,
      );
  }
  return undefined;
};

interface ListFlags {
  readonly internal?: boolean;
}

export const listTopics: Action<ListFlags> = async (context, _names, { internal = false }) => {
  const topics = await context.withClient((client) => client.admin().listTopics({ internal }));
  const summaries = topics.map(({ name, topicId, partitions }) => ({
    name,
    partitions: partitions.length,
    replicationFactor: partitions[0]?.replicas.length ?? 0,
    topicId,
  }));
  if (context.json) context.output.json(summaries);
  else if (summaries.length === 0) context.note('there are no topics: make one with "barnabas topics create NAME"');
  else {
    const rows = summaries.map((topic) => [
      topic.name,
      String(topic.partitions),
      String(topic.replicationFactor),
      topic.topicId,
    ]);
    context.output.line(formatTable(['topic', 'partitions', 'replicas', 'topic id'], rows));
  }
  return undefined;
};

interface AlterFlags {
  readonly partitions?: number;
  readonly config?: Readonly<Record<string, string>>;
  readonly deleteConfig?: readonly string[];
}

export const alterTopic: Action<AlterFlags> = async (context, [name = ''], flags) => {
  const { partitions, config = {}, deleteConfig = [] } = flags;
  const ops = [
    ...Object.entries(config).map(([key, value]) => ({ key, op: 'set' as const, value })),
    ...deleteConfig.map((key) => ({ key, op: 'delete' as const })),
  ];
  if (partitions === undefined && ops.length === 0) {
    throw new UsageError('nothing to alter: give --partitions, --config key=value or --delete-config key');
  }
  await context.withClient(async (client) => {
    const admin = client.admin();
    const resource = { type: 'topic', name } as const;
    // Both are checked before either is done, so that a command with a mistake changes nothing.
    if (partitions !== undefined && ops.length > 0) {
      await admin.createPartitions([{ name, totalCount: partitions }], { validateOnly: true });
    }
    if (ops.length > 0) await admin.incrementalAlterConfigs([{ resource, ops }]);
    if (partitions !== undefined) await admin.createPartitions([{ name, totalCount: partitions }]);
  });
  if (context.json) context.output.json({ name, altered: true });
  else context.output.line(`altered ${name}`);
  return undefined;
};

interface DeleteFlags {
  readonly ifExists?: boolean;
}

export const deleteTopics: Action<DeleteFlags> = async (context, names, { ifExists = false }) => {
  const outcomes = await context.withClient((client) =>
    oneByOne(
      names,
      async (name) => {
        await client.admin().deleteTopics([name]);
        return { name, deleted: true };
      },
      ifExists ? 'UNKNOWN_TOPIC_OR_PARTITION' : undefined,
    ),
  );
  for (const { name, result } of outcomes) {
    if (context.json) context.output.json(result ?? { name, deleted: false });
    else context.output.line(result === undefined ? `${name} does not exist` : `deleted ${name}`);
  }
  return undefined;
};

/** Does the same for each topic; stops at the first failure and says how far it came. A tolerated code gives no result. */
async function oneByOne<T>(
  names: readonly string[],
  work: (name: string) => Promise<T>,
  tolerated: string | undefined,
): Promise<readonly { readonly name: string; readonly result: T | undefined }[]> {
  const outcomes: { name: string; result: T | undefined }[] = [];
  for (const name of names) {
    try {
      outcomes.push({ name, result: await work(name) });
    } catch (error) {
      if (tolerated === undefined || !hasCode(error, tolerated))
        throw withProgress(error, outcomes.length, names.length);
      outcomes.push({ name, result: undefined });
    }
  }
  return outcomes;
}

function withProgress(error: unknown, done: number, all: number): unknown {
  if (all === 1 || !(error instanceof Error)) return error;
  const { errorName } = error as { errorName?: string };
  return new CliError(`${error.message} (${done} of ${count(all, 'topic')} were done)`, undefined, errorName);
}
