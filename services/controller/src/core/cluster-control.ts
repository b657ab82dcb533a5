/**
 * Brokers: registration, heartbeats, fencing, controlled shutdown. Decides; changes nothing but the
 * sessions, which are not replicated and are told of contacts by `heard` (broker-sessions.ts).
 * Protocol: docs/protocols/metadata.md, section 2.
 *
 * States of a broker, and every legal transition:
 *   absent     → fenced      it registers
 *   any        → fenced      it registers again with a new incarnation: new broker epoch
 *   fenced     → unfenced    heartbeat: has applied its own registration, and wants to serve
 *   unfenced   → fenced      heartbeat: does not want to serve; or silent for broker.session.timeout.ms
 *   unfenced   → leaving     heartbeat: wants to stop; its leaderships move in the same batch
 *   leaving    → fenced      heartbeat, once the others have applied that batch; or silent for too long
 *
 * Errors: INVALID_REGISTRATION, INVALID_REQUEST, INCONSISTENT_CLUSTER_ID,
 * DUPLICATE_BROKER_REGISTRATION, BROKER_ID_NOT_REGISTERED, STALE_BROKER_EPOCH.
 */
import { present } from '@barnabas/common';
import type { BrokerImage, EndpointImage, MetadataImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import type { BrokerSessions } from './broker-sessions.js';
import { serves } from './broker-standing.js';
import { checkRegistration } from './broker-registration.js';
import { Plan, answer } from './decision.js';
import type { Decision } from './decision.js';
import { changePartitions, reelect } from './leader-election.js';
import type { ControllerSettings } from './settings.js';
import { configuredAsRegistered } from './topic-rules.js';

export class ClusterControl {
  constructor(
    private readonly settings: ControllerSettings,
    private readonly sessions: BrokerSessions,
  ) {}

  register(
    image: MetadataImage,
    request: internal.RegisterBrokerRequest,
    nowMs: number,
  ): Decision<internal.RegisterBrokerResponse> {
    checkRegistration(image, request);
    const existing = image.brokers.get(request.brokerId);
    if (existing !== undefined) {
      // The answer to an earlier attempt was lost.
      if (isSame(existing, request)) return answer({ brokerEpoch: existing.epoch, clusterId: image.clusterId });
      this.#refuseDuplicate(existing, request, nowMs);
    }
    const plan = new Plan(image);
    const { brokerId, incarnationId, rack, endpoints, features, flushIntervalMessages } = request;
    const brokerEpoch = plan.nextOffset;
    const says = { endpoints, rack, features, flushIntervalMessages };
    const registerBroker = { brokerId, incarnationId, brokerEpoch, fenced: true, ...says };
    plan.add([{ record: { $case: 'registerBroker', registerBroker } }]);
    if (existing !== undefined) this.#restarted(plan, existing, request.previousBrokerEpoch);
    return plan.decide({ brokerEpoch, clusterId: image.clusterId });
  }

  /** Says whether a registration exists; `heartbeat` and others begin with it. */
  registered(image: MetadataImage, brokerId: number, brokerEpoch: number): BrokerImage {
    const broker = image.brokers.get(brokerId);
    if (broker === undefined) {
      throw new BarnabasError('BROKER_ID_NOT_REGISTERED', `broker ${brokerId} is not registered: register first`);
    }
    if (broker.epoch !== brokerEpoch) {
      throw new BarnabasError(
        'STALE_BROKER_EPOCH',
        `broker ${brokerId} has registered again since: its epoch is ${broker.epoch}, not ${brokerEpoch}`,
        { brokerId, brokerEpoch, current: broker.epoch },
      );
    }
    return broker;
  }

  heartbeat(
    image: MetadataImage,
    request: internal.BrokerHeartbeatRequest,
    nowMs: number,
  ): Decision<internal.BrokerHeartbeatResponse> {
    const broker = this.registered(image, request.brokerId, request.brokerEpoch);
    const caughtUp = request.metadataOffset > broker.epoch;
    if (broker.inControlledShutdown && !broker.fenced) return this.#leaving(image, broker, caughtUp, nowMs);
    if (broker.fenced) {
      const shouldShutDown = request.wantShutDown;
      if (request.wantFence || shouldShutDown || !caughtUp) return answer({ caughtUp, fenced: true, shouldShutDown });
      return this.#unfence(image, broker);
    }
    if (request.wantShutDown) return this.#beginShutdown(image, broker, caughtUp);
    if (request.wantFence) {
      const plan = new Plan(image);
      this.#fence(plan, broker);
      return plan.decide({ caughtUp, fenced: true, shouldShutDown: false });
    }
    return answer({ caughtUp, fenced: false, shouldShutDown: false });
  }

  /** Fences the brokers that have been silent for too long, each with all its partitions. */
  expireSessions(image: MetadataImage, nowMs: number): Decision<readonly number[]> {
    const plan = new Plan(image);
    const expired = this.sessions.expired(image, nowMs);
    this.#fence(plan, ...expired);
    return plan.decide(expired.map(({ id }) => id));
  }

  /**
   * What a new leader puts right first: its predecessor may have fenced a broker and died before it
   * had moved all of its leaderships.
   */
  repair(image: MetadataImage): Decision<void> {
    const plan = new Plan(image);
    reelect(plan, this.settings.defaults, () => true);
    return plan.decide(undefined);
  }

  #refuseDuplicate(existing: BrokerImage, request: internal.RegisterBrokerRequest, nowMs: number): void {
    // Two processes cannot be bound to one address: an incarnation that comes from the same endpoints
    // proves that the earlier one is dead, and need not wait until its session is over.
    const isElsewhere = !sameEndpoints(existing.endpoints, request.endpoints);
    if (isElsewhere && !existing.inControlledShutdown && this.sessions.isAlive(existing, nowMs)) {
      throw new BarnabasError(
        'DUPLICATE_BROKER_REGISTRATION',
        `broker ${existing.id} is already running at ${describe(existing.endpoints)}: give this one another node.id, or stop the other and wait ${this.settings.sessionTimeoutMs} ms`,
        { brokerId: existing.id },
      );
    }
  }

  #unfence(image: MetadataImage, broker: BrokerImage): Decision<internal.BrokerHeartbeatResponse> {
    const plan = new Plan(image);
    plan.add([registrationChange(broker, { fenced: false })]);
    reelect(
      plan,
      this.settings.defaults,
      ({ leader, replicas }) => replicas.includes(broker.id) && !serves(plan.image.brokers.get(leader)),
    );
    return plan.decide({ caughtUp: true, fenced: false, shouldShutDown: false });
  }

  #beginShutdown(
    image: MetadataImage,
    broker: BrokerImage,
    caughtUp: boolean,
  ): Decision<internal.BrokerHeartbeatResponse> {
    const plan = new Plan(image);
    plan.add([registrationChange(broker, { inControlledShutdown: true })]);
    this.#moveAwayFrom(plan, broker.id);
    const nobodyElse = [...plan.image.brokers.values()].every(({ id, fenced }) => fenced || id === broker.id);
    // With nobody to take over there is nothing to wait for.
    if (nobodyElse) this.#fence(plan, present(plan.image.brokers.get(broker.id), 'the leaving broker'));
    return plan.decide({ caughtUp, fenced: nobodyElse, shouldShutDown: nobodyElse });
  }

  #leaving(
    image: MetadataImage,
    broker: BrokerImage,
    caughtUp: boolean,
    nowMs: number,
  ): Decision<internal.BrokerHeartbeatResponse> {
    if (!this.sessions.othersTookOver(image, broker, nowMs)) {
      return answer({ caughtUp, fenced: false, shouldShutDown: false });
    }
    const plan = new Plan(image);
    this.#fence(plan, broker);
    return plan.decide({ caughtUp, fenced: true, shouldShutDown: true });
  }

  /**
   * A new incarnation: the earlier one may still have led. If it did not stop in good order, it may have
   * lost what it had not synced.
   */
  #restarted(plan: Plan, earlier: BrokerImage, previousBrokerEpoch: number): void {
    const { id } = earlier;
    const asRegistered = configuredAsRegistered(earlier);
    const wasUnclean = previousBrokerEpoch !== earlier.epoch;
    changePartitions(plan, this.settings.defaults, ({ topic, partition }, elections) => {
      const { leader, isr, eligibleLeaderReplicas, offlineReplicas } = partition;
      const counts = leader === id || isr.includes(id) || eligibleLeaderReplicas.includes(id);
      if (!counts && !offlineReplicas.includes(id)) return undefined;
      const mayMissRecords = wasUnclean && counts && elections.rulesOf(topic).mayLoseWrites(asRegistered);
      return { restarted: id, ...(mayMissRecords ? { mayMissRecords: id } : {}) };
    });
  }

  /**
   * All first, and then the elections: one after another, a partition would be given to a broker that is
   * the next to be fenced, uncleanly even, though its last in-sync replica is to come back.
   */
  #fence(plan: Plan, ...brokers: readonly BrokerImage[]): void {
    for (const broker of brokers) plan.add([registrationChange(broker, { fenced: true })]);
    this.#moveAwayFrom(plan, ...brokers.map(({ id }) => id));
  }

  #moveAwayFrom(plan: Plan, ...ids: readonly number[]): void {
    reelect(
      plan,
      this.settings.defaults,
      ({ leader, isr }) => ids.includes(leader) || isr.some((id) => ids.includes(id)),
    );
  }
}

function registrationChange(
  { id: brokerId, epoch: brokerEpoch }: BrokerImage,
  change: { readonly fenced?: boolean; readonly inControlledShutdown?: boolean },
): internal.MetadataRecord {
  const brokerRegistrationChange = { brokerId, brokerEpoch, ...change };
  return { record: { $case: 'brokerRegistrationChange', brokerRegistrationChange } };
}

function isSame(existing: BrokerImage, request: internal.RegisterBrokerRequest): boolean {
  return (
    existing.incarnationId === request.incarnationId &&
    existing.rack === request.rack &&
    sameEndpoints(existing.endpoints, request.endpoints)
  );
}

function sameEndpoints(one: readonly EndpointImage[], other: readonly EndpointImage[]): boolean {
  return describe(one) === describe(other);
}

function describe(endpoints: readonly EndpointImage[]): string {
  return endpoints
    .map(({ name, host, port }) => `${name}://${host}:${port}`)
    .sort()
    .join(',');
}
