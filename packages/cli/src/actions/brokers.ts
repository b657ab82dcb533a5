/** `barnabas brokers decommission|unregister`. List: cluster.ts. */
import type { Admin, Decommission } from '@barnabas/client';
import type { Action } from '../command-context.js';
import { CliError, EXIT_FAILED, EXIT_OK } from '../errors.js';
import { count, formatRanges } from '../text/quantities.js';
import { waitUntilDone } from './wait.js';
import type { Looked } from './wait.js';

interface DecommissionFlags {
  readonly cancel?: boolean;
  readonly wait: boolean;
  readonly intervalMs: number;
}

export const decommission: Action<DecommissionFlags> = async (context, [id = ''], flags) => {
  const brokerId = Number(id);
  return context.withClient(async (client) => {
    const admin = client.admin();
    if (flags.cancel === true) {
      const { remainingPartitions } = await admin.decommissionBroker(brokerId, { cancel: true });
      if (context.json) context.output.json({ brokerId, cancelled: true, remainingPartitions });
      else context.output.line(`broker ${brokerId} stays: it may get replicas again`);
      return EXIT_OK;
    }
    const state = flags.wait
      ? await waitUntilDone(context, looker(admin, brokerId), {
          intervalMs: flags.intervalMs,
          interrupted: `interrupted; broker ${brokerId} goes on being emptied: run this again to watch, or with --cancel`,
        })
      : await admin.decommissionBroker(brokerId);
    const stuck = state.stuck.map(({ topic, partition, error }) => ({
      topic,
      partition,
      error: { code: error.errorName, message: error.message },
    }));
    if (context.json) {
      context.output.json({ brokerId, remainingPartitions: state.remainingPartitions, stuck });
      return isDone(state) || !flags.wait ? EXIT_OK : EXIT_FAILED;
    }
    for (const { topic, partitions, error } of byReason(stuck)) {
      const [only, ...others] = partitions;
      const which = others.length === 0 ? `${topic}-${only}` : `${topic}: partitions ${formatRanges(partitions)}`;
      context.output.line(`${which} cannot leave: ${error.message} [${error.code}]`);
    }
    if (isDone(state)) {
      context.output.line(`broker ${brokerId} is empty`);
      context.note(`stop it, then: barnabas brokers unregister ${brokerId}`);
      return EXIT_OK;
    }
    context.output.line(`broker ${brokerId} still holds ${count(state.remainingPartitions, 'partition')}`);
    if (!flags.wait) return EXIT_OK;
    throw new CliError(
      `${count(stuck.length, 'partition')} cannot leave broker ${brokerId}: add a broker, or --cancel`,
    );
  });
};

interface Stuck {
  readonly topic: string;
  readonly partition: number;
  readonly error: { readonly code: string; readonly message: string };
}

/** Partitions of a topic that cannot leave for the same reason: one line for them all. */
function byReason(stuck: readonly Stuck[]) {
  const found = new Map<string, { topic: string; partitions: number[]; error: Stuck['error'] }>();
  for (const { topic, partition, error } of stuck) {
    const key = JSON.stringify([topic, error]);
    const one = found.get(key) ?? { topic, partitions: [], error };
    one.partitions.push(partition);
    found.set(key, one);
  }
  return [...found.values()];
}

/** Asking again changes nothing, and tells what is left. Over when nothing is left, or only what cannot leave. */
function looker(admin: Admin, brokerId: number): () => Promise<Looked<Decommission>> {
  let most = 0;
  return async () => {
    const state = await admin.decommissionBroker(brokerId);
    const { remainingPartitions: left, stuck } = state;
    most = Math.max(most, left);
    const looked = { done: most - left, total: most, text: `${count(left, 'partition')} left` };
    return left <= stuck.length ? { ...looked, result: state } : looked;
  };
}

function isDone({ remainingPartitions }: Decommission): boolean {
  return remainingPartitions === 0;
}

export const unregister: Action<object> = async (context, [id = '']) => {
  const brokerId = Number(id);
  await context.withClient((client) => client.admin().unregisterBroker(brokerId));
  if (context.json) context.output.json({ brokerId, unregistered: true });
  else context.output.line(`broker ${brokerId} is forgotten`);
  return undefined;
};
