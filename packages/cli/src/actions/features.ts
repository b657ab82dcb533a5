/** `barnabas features …`. */
import type { Admin, Feature, FeatureUpdate } from '@barnabas/client';
import type { Action, CommandContext } from '../command-context.js';
import { UsageError } from '../errors.js';
import { formatTable } from '../terminal/table.js';

export const describeFeatures: Action<object> = async (context) => {
  const features = await context.withClient((client) => client.admin().describeFeatures());
  if (context.json) context.output.json(features);
  else {
    const rows = features.map(({ name, level, minSupported, maxSupported }) => [
      name,
      String(level),
      `${minSupported} to ${maxSupported}`,
    ]);
    context.output.line(formatTable(['feature', 'level', 'supported'], rows));
  }
  return undefined;
};

interface UpdateFlags {
  readonly feature?: Readonly<Record<string, string>>;
  readonly dryRun?: boolean;
}

export const upgradeFeatures: Action<UpdateFlags> = async (context, _args, flags) => {
  await context.withClient(async (client) => {
    const admin = client.admin();
    const updates =
      flags.feature === undefined ? highest(await admin.describeFeatures()) : wanted(flags.feature, false);
    if (updates.length === 0) context.note('every feature has its highest level');
    else await update(context, admin, updates, flags);
  });
  return undefined;
};

export const downgradeFeatures: Action<UpdateFlags> = async (context, _args, flags) => {
  const { feature = {} } = flags;
  if (Object.keys(feature).length === 0) throw new UsageError('downgrade what? Give --feature name=level');
  await context.withClient((client) => update(context, client.admin(), wanted(feature, true), flags));
  return undefined;
};

async function update(
  context: CommandContext,
  admin: Admin,
  updates: readonly FeatureUpdate[],
  { dryRun = false }: UpdateFlags,
): Promise<void> {
  await admin.updateFeatures(updates, { validateOnly: dryRun });
  for (const { name, level } of updates) {
    if (context.json) context.output.json({ name, level, updated: !dryRun });
    else context.output.line(dryRun ? `${name} could be set to level ${level}` : `${name} has level ${level}`);
  }
}

function highest(features: readonly Feature[]): readonly FeatureUpdate[] {
  return features
    .filter(({ level, maxSupported }) => level < maxSupported)
    .map(({ name, maxSupported }) => ({ name, level: maxSupported }));
}

function wanted(given: Readonly<Record<string, string>>, allowDowngrade: boolean): readonly FeatureUpdate[] {
  return Object.entries(given).map(([name, text]) => {
    if (!/^\d{1,9}$/.test(text))
      throw new UsageError(`--feature ${name}=${text}: a level is a whole number, 0 for off`);
    return { name, level: Number(text), allowDowngrade };
  });
}
