/** `barnabas features …`: names and options. */
import type { Command } from 'commander';
import { keyValue } from '../option-parsers.js';
import type { Run } from './run.js';

const actions = () => import('../actions/features.js');

export function addFeaturesCommands(program: Command, run: Run): void {
  const features = program.command('features').description('look at and change the levels of features');
  features
    .command('describe')
    .description('list features, their levels, and what is supported')
    .action(run(async () => (await actions()).describeFeatures));
  features
    .command('upgrade')
    .description('raise features to the levels given, or all to the highest supported')
    .option('--feature <name=level>', 'a feature and its level; may be repeated', keyValue)
    .option('--dry-run', 'check everything and change nothing')
    .action(run(async () => (await actions()).upgradeFeatures));
  features
    .command('downgrade')
    .description('lower features to the levels given')
    .option('--feature <name=level>', 'a feature and its level; may be repeated', keyValue)
    .option('--dry-run', 'check everything and change nothing')
    .action(run(async () => (await actions()).downgradeFeatures));
}
