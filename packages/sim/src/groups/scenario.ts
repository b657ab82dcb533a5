/**
 * Consumer groups on a cluster of real controllers and brokers: members made of the real Membership and
 * real consumers come and go, stall, crash, resume and lie, while coordinators move and topics change. Then all
 * is healed: every group must be stable, and have been given and have committed every record.
 */
import { audit } from '../cluster/checks/audit.js';
import { ClusterAdmin } from '../cluster/clients/admin.js';
import { ClusterProducer } from '../cluster/clients/producer.js';
import { ClusterFate } from '../cluster/misfortune.js';
import { Operator } from '../cluster/operator.js';
import { run } from '../kernel/play.js';
import type { Events, Play } from '../kernel/play.js';
import type { RunOptions, Scenario } from '../kernel/report.js';
import { Violation } from '../kernel/violation.js';
import { Liar } from './members/liar.js';
import { MemberSlot } from './members/member-slot.js';
import { GroupFate } from './misfortune.js';
import { GROUP_PLANTS } from './plants/index.js';
import { NO_GROUP_PLANT } from './plants/plant.js';
import { spreadOf, whatIsMissingOf } from './progress.js';
import { GroupsWorld } from './world.js';

export const groupsScenario: Scenario = {
  name: 'groups',
  events: 6000,
  plants: GROUP_PLANTS,
  expects: {
    'records acknowledged': 3000,
    'records delivered': 4000,
    'records delivered again': 100,
    'partitions assigned': 200,
    'commits acknowledged': 500,
    'offsets fetched': 100,
    'heartbeats answered': 1000,
    'coordinators that went': 10,
    'heartbeats refused with FENCED_MEMBER_EPOCH': 5,
    'heartbeats refused with NOT_COORDINATOR': 10,
    'heartbeats refused with UNRELEASED_INSTANCE_ID': 10,
    'offsets reset': 1,
    'commits that came once more': 10,
    ...{ leave: 2, crash: 5, stall: 2, busy: 2, resubscribe: 2, rewind: 2, enforce: 2, resume: 5, twin: 5 },
    ...{ cutOff: 2, lies: 2, 'groups that slept': 3, kill: 2, restart: 2, morePartitions: 1 },
  },
  run: (options: RunOptions) => run('groups', options, () => new GroupsRun(options)),
};

class GroupsRun implements Play {
  readonly stage: GroupsWorld;
  readonly #fate: ClusterFate;
  readonly #admin: ClusterAdmin;
  readonly #producers: readonly ClusterProducer[];
  readonly #slots: ReadonlyMap<string, readonly MemberSlot[]>;
  readonly #liars: readonly Liar[];

  constructor(private readonly options: RunOptions) {
    const plant = GROUP_PLANTS.find(({ name }) => name === options.plant) ?? NO_GROUP_PLANT;
    const world = new GroupsWorld(options.seed, plant);
    const { groups } = world.groups;
    this.stage = world;
    this.#admin = new ClusterAdmin(world);
    this.#producers = Array.from({ length: world.plan.producers }, (_, at) => new ClusterProducer(world, at));
    this.#slots = new Map(
      groups.map(({ groupId, members }) => [groupId, members.map((plan) => new MemberSlot(world, groupId, plan))]),
    );
    this.#liars = groups.filter(({ hasLiar }) => hasLiar).map(({ groupId }) => new Liar(world, groupId));
    this.#fate = new ClusterFate(world, this.#admin);
    new GroupFate(world, this.#slots);
    new Operator(world, this.#admin);
  }

  check(): void {
    this.stage.look();
  }

  async act(events: Events): Promise<void> {
    const { stage } = this;
    await events.upTo(this.options.events);
    stage.isEnding = true;
    stage.trace.note('  everything is healed');
    this.#fate.heal();
    await events.until(
      'every topic is there and every node serves',
      () => this.#admin.isDone && stage.nodes.every(({ isServing }) => isServing),
      () => this.stage.whatIsMissing().join('; '),
    );
    for (const liar of this.#liars) liar.end();
    for (const slots of this.#slots.values()) for (const slot of slots) slot.heal();
    for (const producer of this.#producers) producer.finish(stage.partitions());
    await events.until(
      'every group is stable and has read and committed everything',
      () => this.#missing().length === 0,
      () => this.#missing().join('; '),
    );
    for (const { groupId, members } of stage.groups.groups) {
      const spread = spreadOf(stage, groupId);
      if (spread > 1 && members.every(({ assignor }) => assignor !== 'range')) {
        throw new Violation('balanced', 'a group at rest is not balanced', { groupId, spread });
      }
    }
    const failure = await events.of('every log can be read', audit(stage), () => false);
    if (failure !== undefined) throw failure;
  }

  #missing(): string[] {
    const waiting = this.#producers.filter(({ isDone }) => !isDone).map((producer) => producer.describe());
    const early = [...waiting, ...this.stage.whatIsMissing()];
    if (early.length > 0) return early;
    return [...this.#slots].flatMap(([groupId, slots]) => whatIsMissingOf(this.stage, groupId, slots));
  }
}
