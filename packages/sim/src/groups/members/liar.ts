/**
 * A member written by hand that lies: about what it owns, about its epoch; commits what it does not own, and
 * commits late. What it commits never lies above what the group has committed, so that a lie that happens to be
 * allowed costs the group no record.
 */
import { GroupCalls } from '@barnabas/client';
import { partitionKey } from '@barnabas/broker/parts';
import { BarnabasError, v1 } from '@barnabas/protocol';
import { ClientProcess } from '../../cluster/clients/client-process.js';
import type { GroupsWorld } from '../world.js';

const LIE_TIMEOUT_MS = 2000;

export class Liar {
  readonly #process: ClientProcess;
  readonly #calls: GroupCalls;
  #epoch = 0;
  #incarnation = 1;
  #version = 0;
  #owned: v1.GroupPartition[] = [];
  #late: v1.CommitOffsetsRequest | undefined;
  #isOver = false;

  constructor(
    private readonly world: GroupsWorld,
    private readonly groupId: string,
  ) {
    this.#process = new ClientProcess(world, `${groupId}-liar`);
    this.#calls = new GroupCalls(this.#process.client.router, groupId);
    this.#speakLater();
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#process.kill();
  }

  #speakLater(): void {
    const { dice } = this.world;
    this.#process.scope.after(dice.between(50, 1500), () => {
      if (this.#isOver) return;
      const work = dice.chance(0.5) ? this.#beat() : this.#commit();
      work
        .catch((error: unknown) => this.#refused(error))
        .then(() => this.#speakLater())
        .catch((error: unknown) => this.world.fail(error));
    });
  }

  async #beat(): Promise<void> {
    const { dice, world } = { dice: this.world.dice, world: this.world };
    const isLie = this.#epoch > 0 && dice.chance(0.4);
    const epoch = isLie && dice.chance(0.4) ? dice.between(0, this.#epoch + 1) : this.#epoch;
    const owned = isLie ? this.#owned.filter(() => dice.chance(0.3)) : this.#owned;
    const appliedVersion = isLie && dice.chance(0.3) ? dice.between(0, this.#version + 1) : this.#version;
    const isJoining = epoch === 0;
    const request = v1.ConsumerGroupHeartbeatRequest.create({
      ...{ groupId: this.groupId, memberId: 'liar', memberEpoch: epoch, incarnation: this.#incarnation, maxWaitMs: 0 },
      ...(isJoining ? { subscription: { topics: ['strict'], pattern: '' }, rebalanceTimeoutMs: 2000 } : {}),
      ...(isJoining ? {} : { owned: { appliedVersion, partitions: owned } }),
    });
    world.tally.count(isLie ? 'lies' : 'truths of liars');
    const answer = await this.#calls.call((client, options) => client.consumerGroupHeartbeat(request, options), {
      timeoutMs: LIE_TIMEOUT_MS,
    });
    this.#epoch = answer.memberEpoch;
    if (answer.assignment === undefined) return;
    this.#version = answer.assignment.version;
    this.#owned = answer.assignment.partitions;
  }

  async #commit(): Promise<void> {
    const { dice, tally } = this.world;
    const again = this.#late;
    if (again !== undefined && dice.chance(0.5)) return this.#say(again);
    // What it owns it may commit: then it is late, and speaks of what it has read long ago.
    const isOwn = this.#owned.length > 0 && dice.chance(0.5);
    const { topic, partition } = dice.pick(isOwn ? this.#owned : this.world.partitions());
    const topicId = this.world.image?.topics.named(topic)?.id;
    if (topicId === undefined) return;
    const committed = this.world.history.image(this.groupId).offsets.get(partitionKey(topicId, partition))?.offset ?? 0;
    const request = v1.CommitOffsetsRequest.create({
      ...{ groupId: this.groupId, memberId: 'liar' },
      memberEpoch: isOwn ? this.#epoch : dice.between(1, this.#epoch + 1),
      incarnation: this.#incarnation + (isOwn ? 0 : dice.between(-1, 1)),
      offsets: [
        {
          ...{ partition: { topic, topicId, partition }, offset: dice.between(0, committed), metadata: '' },
          ...(!isOwn && dice.chance(0.3) && { rewinds: dice.between(0, 3) }),
        },
      ],
    });
    this.#late = request;
    tally.count('commits of liars');
    await this.#say(request);
  }

  async #say(request: v1.CommitOffsetsRequest): Promise<void> {
    await this.#calls.call((client, options) => client.commitOffsets(request, options), { timeoutMs: LIE_TIMEOUT_MS });
  }

  #refused(error: unknown): void {
    if (!(error instanceof BarnabasError)) return this.world.fail(error);
    const { errorName } = error;
    this.world.tally.count(`liars refused with ${errorName}`);
    if (errorName !== 'FENCED_MEMBER_EPOCH' && errorName !== 'UNKNOWN_MEMBER_ID') return;
    this.#epoch = 0;
    this.#version = 0;
    this.#owned = [];
    this.#incarnation += 1;
  }
}
