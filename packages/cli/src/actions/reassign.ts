/**
 * `barnabas reassign …`: plans in and out, progress, throttles. Where replicas go is decided by
 * reassign/planner.ts; moving them is the cluster's own work, which goes on without this command.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { text as readStream } from 'node:stream/consumers';
import { PartialFailureError } from '@barnabas/client';
import type { Admin, OngoingReassignment, TopicDescription } from '@barnabas/client';
import type { Action, CommandContext } from '../command-context.js';
import { CliError, EXIT_FAILED, EXIT_OK, UsageError, hasCode } from '../errors.js';
import { formatPlan, parsePlan } from '../reassign/plan-file.js';
import { movedReplicas, planReassignment } from '../reassign/planner.js';
import type { PartitionReplicas } from '../reassign/planner.js';
import { throttlesFor, withoutThrottles } from '../reassign/throttles.js';
import type { Move } from '../reassign/throttles.js';
import { formatTable } from '../terminal/table.js';
import { count } from '../text/quantities.js';
import { waitUntilDone } from './wait.js';
import type { Looked } from './wait.js';

interface GenerateFlags {
  readonly topic?: readonly string[];
  readonly brokers?: readonly number[];
  readonly replicationFactor?: number;
  readonly backup?: string;
}

export const generate: Action<GenerateFlags> = async (context, _args, flags) => {
  const { topics, brokers } = await context.withClient(async (client) => {
    const admin = client.admin();
    const named = flags.topic === undefined ? admin.listTopics({ internal: true }) : admin.describeTopics(flags.topic);
    return { topics: await named, brokers: (await admin.describeCluster()).brokers };
  });
  const before = topics.flatMap(placesOf);
  if (before.length === 0) throw new CliError('there are no topics whose replicas could be moved');
  const moving = before.filter(({ isMoving }) => isMoving).length;
  if (moving > 0) {
    const advice = 'wait until they have ("barnabas reassign list"), or cancel them';
    throw new CliError(`${count(moving, 'partition')} of these topics move already: ${advice}`);
  }
  const unknown = flags.brokers?.find((id) => !brokers.some((broker) => broker.id === id));
  if (unknown !== undefined) throw new UsageError(`there is no broker ${unknown}: see "barnabas brokers list"`);
  const allowed = brokers.filter(({ id, decommissioning }) => flags.brokers?.includes(id) ?? !decommissioning);
  const most = Math.max(flags.replicationFactor ?? 0, ...before.map(({ replicas }) => replicas.length));
  const wanted = flags.replicationFactor ?? most;
  if (allowed.length < wanted) {
    throw new UsageError(
      `${count(wanted, 'replica')} need as many brokers, and there are ${allowed.length} to choose from`,
    );
  }
  const plan = planReassignment(before, { brokers: allowed, replicationFactor: flags.replicationFactor });
  const changed = plan.filter((one, index) => !isEqual(one.replicas, before[index]?.replicas ?? []));
  if (flags.backup !== undefined) await writeFile(flags.backup, `${formatPlan(before)}\n`);
  if (changed.length === 0) {
    context.note('the replicas are where they should be: there is nothing to reassign');
    return undefined;
  }
  context.output.line(formatPlan(changed));
  context.note(
    `${changed.length} of ${count(before.length, 'partition')} change, ${count(movedReplicas(before, plan), 'replica')} move` +
      `; save the plan, then: barnabas reassign execute --plan FILE`,
  );
  return undefined;
};

interface ExecuteFlags extends PlanFlags, WaitFlags {
  readonly throttle?: number;
  readonly additional?: boolean;
  readonly forbidReplicationFactorChange?: boolean;
}

interface PlanFlags {
  readonly plan: string;
}

interface WaitFlags {
  readonly wait?: boolean;
  readonly intervalMs: number;
  readonly preserveThrottles?: boolean;
}

export const execute: Action<ExecuteFlags> = async (context, _args, flags) => {
  const plan = await readPlan(context, flags.plan);
  return context.withClient(async (client) => {
    const admin = client.admin();
    const before = await currentPlaces(admin, plan);
    const moves = plan.map((one) => ({ ...one, before: (before.get(nameOf(one)) ?? missing(one)).settled }));
    const ongoing = await admin.listPartitionReassignments();
    if (flags.additional !== true) mustBeAlone(ongoing);
    if (flags.throttle !== undefined) {
      const throttled = [...moves, ...besides(plan, ongoing)];
      await admin.incrementalAlterConfigs(throttlesFor(throttled, flags.throttle));
    }
    const { forbidReplicationFactorChange = false } = flags;
    try {
      await admin.alterPartitionReassignments(plan, { forbidReplicationFactorChange });
    } catch (error) {
      // Nothing moves: nothing is to be throttled either.
      if (flags.throttle !== undefined && !(error instanceof PartialFailureError)) await unthrottle(admin, plan);
      throw error;
    }
    if (flags.wait === true) return finish(context, admin, plan, flags);
    if (context.json) context.output.json({ started: plan.length });
    else context.output.line(`reassignment of ${count(plan.length, 'partition')} has begun`);
    context.note(
      `see how far it is${flags.throttle === undefined ? '' : ', and remove the throttle,'} with: barnabas reassign verify --plan ${flags.plan}`,
    );
    return EXIT_OK;
  });
};

/** As Kafka's tool does: who does not know of other moves would be surprised by what they take of disks and network. */
function mustBeAlone(ongoing: readonly OngoingReassignment[]): void {
  if (ongoing.length === 0) return;
  const advice = 'wait until they are done ("barnabas reassign list"), or add --additional to begin these beside them';
  throw new CliError(
    `${count(ongoing.length, 'partition')} moving already: ${advice}, which also changes the throttle of a plan that is under way`,
  );
}

/** Moves under way beside the plan, of its topics: a topic lists all of its throttled replicas in one value. */
function besides(plan: readonly PartitionReplicas[], ongoing: readonly OngoingReassignment[]): readonly Move[] {
  const topics = new Set(plan.map(({ topic }) => topic));
  const planned = new Set(plan.map(nameOf));
  return ongoing
    .filter((one) => topics.has(one.topic) && !planned.has(nameOf(one)))
    .map(({ topic, partition, replicas, addingReplicas, removingReplicas }) => ({
      topic,
      partition,
      replicas: replicas.filter((id) => !removingReplicas.includes(id)),
      before: replicas.filter((id) => !addingReplicas.includes(id)),
    }));
}

interface VerifyFlags extends PlanFlags, WaitFlags {}

/** Ends with 1 while partitions of the plan are not where it wants them. */
export const verify: Action<VerifyFlags> = async (context, _args, flags) => {
  const plan = await readPlan(context, flags.plan);
  return context.withClient(async (client) => {
    const admin = client.admin();
    if (flags.wait === true) return finish(context, admin, plan, flags);
    return report(context, admin, await standings(admin, plan), flags);
  });
};

interface CancelFlags {
  readonly plan?: string;
  readonly all?: boolean;
  readonly preserveThrottles?: boolean;
}

export const cancel: Action<CancelFlags> = async (context, _args, flags) => {
  if ((flags.plan === undefined) === (flags.all !== true))
    throw new UsageError('cancel what? Give --plan FILE or --all');
  const plan = flags.plan === undefined ? undefined : await readPlan(context, flags.plan);
  return context.withClient(async (client) => {
    const admin = client.admin();
    const ongoing = await admin.listPartitionReassignments();
    const wanted = plan === undefined ? undefined : new Set(plan.map(nameOf));
    const cancelled = ongoing.filter((one) => wanted?.has(nameOf(one)) ?? true);
    if (cancelled.length > 0) {
      await admin.alterPartitionReassignments(
        cancelled.map(({ topic, partition }) => ({ topic, partition, replicas: null })),
      );
    }
    if (flags.preserveThrottles !== true) await unthrottle(admin, plan ?? cancelled);
    if (context.json)
      context.output.json({ cancelled: cancelled.map(({ topic, partition }) => ({ topic, partition })) });
    else if (cancelled.length === 0) context.note('no reassignment is under way: there was nothing to cancel');
    else context.output.line(`cancelled ${count(cancelled.length, 'reassignment')}`);
    return EXIT_OK;
  });
};

export const list: Action<object> = async (context) => {
  const ongoing = await context.withClient((client) => client.admin().listPartitionReassignments());
  if (context.json) context.output.json(ongoing);
  else if (ongoing.length === 0) context.note('no reassignment is under way');
  else {
    const rows = ongoing.map(({ topic, partition, replicas, addingReplicas, removingReplicas }) => [
      topic,
      String(partition),
      replicas.join(','),
      addingReplicas.join(','),
      removingReplicas.join(','),
    ]);
    context.output.line(formatTable(['topic', 'partition', 'replicas', 'adding', 'removing'], rows));
  }
  return undefined;
};

// ---- how far a plan is

type Standing = 'complete' | 'under way' | 'not begun' | 'no such partition';

interface PlanState {
  readonly plan: readonly PartitionReplicas[];
  readonly standings: readonly (PartitionReplicas & {
    readonly state: Standing;
    readonly current: readonly number[];
  })[];
}

async function standings(admin: Admin, plan: readonly PartitionReplicas[]): Promise<PlanState> {
  // In this order: one that ends between the two answers is seen as complete, not as never begun.
  const ongoing = new Set((await admin.listPartitionReassignments()).map(nameOf));
  const places = await currentPlaces(admin, plan);
  return {
    plan,
    standings: plan.map((one) => {
      const place = places.get(nameOf(one));
      return { ...one, current: place?.replicas ?? [], state: standingOf(one, place, ongoing.has(nameOf(one))) };
    }),
  };
}

function standingOf(one: PartitionReplicas, place: Place | undefined, isOngoing: boolean): Standing {
  if (place === undefined) return 'no such partition';
  // The node that told the place may not have heard yet that the move is over.
  if (isOngoing || place.isMoving) return 'under way';
  return isEqual(place.replicas, one.replicas) ? 'complete' : 'not begun';
}

async function report(context: CommandContext, admin: Admin, state: PlanState, flags: WaitFlags): Promise<number> {
  const of = (wanted: Standing) => state.standings.filter((one) => one.state === wanted);
  const isOver = of('under way').length === 0;
  if (isOver && flags.preserveThrottles !== true) await unthrottle(admin, state.plan);
  if (context.json) {
    const partitions = state.standings.map(({ topic, partition, replicas, current, state: standing }) => {
      return { topic, partition, replicas, current, state: standing };
    });
    context.output.json({ complete: of('complete').length === partitions.length, partitions });
  } else {
    const rows = state.standings
      .filter((one) => one.state !== 'complete')
      .map((one) => [one.topic, String(one.partition), one.replicas.join(','), one.current.join(','), one.state]);
    if (rows.length > 0) context.output.line(formatTable(['topic', 'partition', 'wanted', 'replicas', 'state'], rows));
    context.output.line(`${of('complete').length} of ${count(state.plan.length, 'partition')} are as planned`);
  }
  const stopped = of('not begun').length + of('no such partition').length;
  if (isOver && stopped > 0) {
    context.note(
      `${count(stopped, 'partition')} not as planned, and not moving: execute the plan again, or make another`,
    );
  }
  return of('complete').length === state.standings.length ? EXIT_OK : EXIT_FAILED;
}

async function finish(
  context: CommandContext,
  admin: Admin,
  plan: readonly PartitionReplicas[],
  flags: WaitFlags,
): Promise<number> {
  const look = async (): Promise<Looked<PlanState>> => {
    const state = await standings(admin, plan);
    const busy = state.standings.filter((one) => one.state === 'under way').length;
    const progress = { done: plan.length - busy, total: plan.length, text: `${count(busy, 'partition')} moving` };
    return busy === 0 ? { ...progress, result: state } : progress;
  };
  const interrupted = 'interrupted; the reassignment goes on: see "barnabas reassign list"';
  const state = await waitUntilDone(context, look, { intervalMs: flags.intervalMs, interrupted });
  return report(context, admin, state, flags);
}

/** Where nothing else moves, rates are taken from all brokers; else only the topics of the plan are set free. */
async function unthrottle(admin: Admin, plan: readonly { readonly topic: string }[]): Promise<void> {
  const others = await admin.listPartitionReassignments();
  const brokers = others.length > 0 ? [] : (await admin.describeCluster()).brokers.map(({ id }) => id);
  const topics = [...new Set(plan.map(({ topic }) => topic))];
  try {
    await admin.incrementalAlterConfigs(withoutThrottles(topics, brokers));
  } catch (error) {
    const failures = error instanceof PartialFailureError ? (error.results as readonly unknown[]) : [error];
    // A topic that is gone has no throttle, nor has a cluster that does not know the keys.
    const isHarmless = (one: unknown) =>
      !(one instanceof Error) || hasCode(one, 'UNKNOWN_TOPIC_OR_PARTITION') || hasCode(one, 'INVALID_CONFIG');
    if (!failures.every(isHarmless)) throw error;
  }
}

// ---- reading

async function readPlan(context: CommandContext, file: string): Promise<readonly PartitionReplicas[]> {
  if (file === '-') return parsePlan(await readStream(context.terminal.stdin), 'standard input');
  try {
    return parsePlan(await readFile(file, 'utf8'), file);
  } catch (error) {
    if (error instanceof CliError) throw error;
    const { code = 'failed' } = error as NodeJS.ErrnoException;
    throw new CliError(`cannot read the plan ${file} (${code}): make one with "barnabas reassign generate"`);
  }
}

/** By name; partitions that do not exist are left out. */
async function currentPlaces(admin: Admin, plan: readonly PartitionReplicas[]): Promise<ReadonlyMap<string, Place>> {
  const names = new Set(plan.map(({ topic }) => topic));
  const topics = (await admin.listTopics({ internal: true })).filter(({ name }) => names.has(name));
  return new Map(topics.flatMap(placesOf).map((one) => [nameOf(one), one]));
}

interface Place extends PartitionReplicas {
  readonly isMoving: boolean;
  /** Those of the replicas that no move has added: where the data comes from. */
  readonly settled: readonly number[];
}

function placesOf({ name, partitions }: TopicDescription): readonly Place[] {
  return partitions.map(({ partition, replicas, addingReplicas, removingReplicas }) => ({
    topic: name,
    partition,
    replicas,
    isMoving: addingReplicas.length + removingReplicas.length > 0,
    settled: replicas.filter((id) => !addingReplicas.includes(id)),
  }));
}

function missing({ topic, partition }: PartitionReplicas): never {
  throw new CliError(
    `the plan names ${topic}-${partition}, which does not exist: see "barnabas topics describe ${topic}"`,
  );
}

function nameOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}-${partition}`;
}

function isEqual(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((id, index) => id === other[index]);
}
