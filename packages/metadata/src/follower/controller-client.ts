/**
 * Calls to the active controller, whichever it is: starts with the one that answered last, learns the
 * leader and the voters from a controller that does not lead (DescribeQuorum), goes round all that are
 * known when nobody answers, and gives up at the caller's deadline with the last error.
 *
 * What it retries: NOT_CONTROLLER and errors whose meaning is "back off" always, since nothing was
 * done; NETWORK_EXCEPTION and REQUEST_TIMED_OUT only for calls that may be made twice (`repeatable`),
 * since the controller may have acted.
 */
import type { Clock, Logger, Random, Timers } from '@barnabas/common';
import { formatAddress } from '@barnabas/common/config';
import { internal, toBarnabasError, v1 } from '@barnabas/protocol';
import type { BarnabasError } from '@barnabas/protocol';
import type { CallOptions, Channel, Connector } from '@barnabas/rpc';
import { Backoff, delay } from './backoff.js';
import type { ControllerDirectory, ControllerPlace } from './controller-directory.js';

export interface ControllerClientOptions {
  readonly connector: Connector;
  readonly controllers: ControllerDirectory;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
}

export interface ControllerCallOptions {
  /** For all attempts together; 30,000 by default. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

interface Call<Res> {
  /** For logs and messages. */
  readonly what: string;
  /** Making it twice does no harm. */
  readonly repeatable: boolean;
  readonly send: (channel: Channel, options: CallOptions) => Promise<Res>;
}

const DEFAULT_TIMEOUT_MS = 30_000;
/** Asking who leads is cheap and answered from memory: a controller that takes longer is as good as gone. */
const DESCRIBE_QUORUM_TIMEOUT_MS = 2_000;
const BACKOFF = { minMs: 20, maxMs: 1_000 };

export class ControllerClient {
  /** Where the active controller was last found. */
  #target: ControllerPlace | undefined;
  #next = 0;

  constructor(private readonly options: ControllerClientOptions) {
    this.#next = options.random.below(options.controllers.places.length);
  }

  registerBroker(request: internal.RegisterBrokerRequest, options?: ControllerCallOptions) {
    return this.#controller('RegisterBroker', true, (c, o) => c.registerBroker(request, o), options);
  }

  brokerHeartbeat(request: internal.BrokerHeartbeatRequest, options?: ControllerCallOptions) {
    return this.#controller('BrokerHeartbeat', true, (c, o) => c.brokerHeartbeat(request, o), options);
  }

  /** A block that is never used does no harm, so this may be asked twice. */
  allocateProducerIds(request: internal.AllocateProducerIdsRequest, options?: ControllerCallOptions) {
    return this.#controller('AllocateProducerIds', true, (c, o) => c.allocateProducerIds(request, o), options);
  }

  /** Creating a topic that exists by now changes nothing, so this may be asked twice. */
  autoCreateTopics(request: internal.AutoCreateTopicsRequest, options?: ControllerCallOptions) {
    return this.#controller('AutoCreateTopics', true, (c, o) => c.autoCreateTopics(request, o), options);
  }

  /** One that exists by now stays as it is, so this may be asked twice. */
  createInternalTopic(request: internal.CreateInternalTopicRequest, options?: ControllerCallOptions) {
    return this.#controller('CreateInternalTopic', true, (c, o) => c.createInternalTopic(request, o), options);
  }

  /**
   * Not made twice by itself: an attempt whose outcome is unknown and one that is refused mean different
   * things to the leader that proposes (docs/protocols/replication.md, race 8).
   */
  alterPartition(request: internal.AlterPartitionRequest, options?: ControllerCallOptions) {
    return this.#controller('AlterPartition', false, (c, o) => c.alterPartition(request, o), options);
  }

  /** A replica that is out already stays out, so this may be said twice. */
  reportOfflineReplicas(request: internal.ReportOfflineReplicasRequest, options?: ControllerCallOptions) {
    return this.#controller('ReportOfflineReplicas', true, (c, o) => c.reportOfflineReplicas(request, o), options);
  }

  createTopics(request: v1.CreateTopicsRequest, options?: ControllerCallOptions) {
    return this.#admin('CreateTopics', (c, o) => c.createTopics(request, o), options);
  }

  deleteTopics(request: v1.DeleteTopicsRequest, options?: ControllerCallOptions) {
    return this.#admin('DeleteTopics', (c, o) => c.deleteTopics(request, o), options);
  }

  createPartitions(request: v1.CreatePartitionsRequest, options?: ControllerCallOptions) {
    return this.#admin('CreatePartitions', (c, o) => c.createPartitions(request, o), options);
  }

  incrementalAlterConfigs(request: v1.IncrementalAlterConfigsRequest, options?: ControllerCallOptions) {
    return this.#admin('IncrementalAlterConfigs', (c, o) => c.incrementalAlterConfigs(request, o), options);
  }

  alterPartitionReassignments(request: v1.AlterPartitionReassignmentsRequest, options?: ControllerCallOptions) {
    return this.#admin('AlterPartitionReassignments', (c, o) => c.alterPartitionReassignments(request, o), options);
  }

  listPartitionReassignments(request: v1.ListPartitionReassignmentsRequest, options?: ControllerCallOptions) {
    return this.#read('ListPartitionReassignments', (c, o) => c.listPartitionReassignments(request, o), options);
  }

  electLeaders(request: v1.ElectLeadersRequest, options?: ControllerCallOptions) {
    return this.#admin('ElectLeaders', (c, o) => c.electLeaders(request, o), options);
  }

  /** Asking a broker that is being emptied to be emptied changes nothing, so this may be asked twice. */
  decommissionBroker(request: v1.DecommissionBrokerRequest, options?: ControllerCallOptions) {
    return this.#read('DecommissionBroker', (c, o) => c.decommissionBroker(request, o), options);
  }

  unregisterBroker(request: v1.UnregisterBrokerRequest, options?: ControllerCallOptions) {
    return this.#admin('UnregisterBroker', (c, o) => c.unregisterBroker(request, o), options);
  }

  /** For administrators; who leads, for a node that looks for it: describeQuorum. */
  describeQuorumMembers(request: v1.DescribeQuorumRequest, options?: ControllerCallOptions) {
    return this.#read('DescribeQuorum', (c, o) => c.describeQuorum(request, o), options);
  }

  addVoter(request: v1.AddVoterRequest, options?: ControllerCallOptions) {
    return this.#admin('AddVoter', (c, o) => c.addVoter(request, o), options);
  }

  removeVoter(request: v1.RemoveVoterRequest, options?: ControllerCallOptions) {
    return this.#admin('RemoveVoter', (c, o) => c.removeVoter(request, o), options);
  }

  transferQuorumLeadership(request: v1.TransferQuorumLeadershipRequest, options?: ControllerCallOptions) {
    return this.#admin('TransferQuorumLeadership', (c, o) => c.transferQuorumLeadership(request, o), options);
  }

  describeFeatures(request: v1.DescribeFeaturesRequest, options?: ControllerCallOptions) {
    return this.#read('DescribeFeatures', (c, o) => c.describeFeatures(request, o), options);
  }

  updateFeatures(request: v1.UpdateFeaturesRequest, options?: ControllerCallOptions) {
    return this.#admin('UpdateFeatures', (c, o) => c.updateFeatures(request, o), options);
  }

  /** The quorum as its leader sees it; as any voter does, when no leader answers in time. */
  async describeQuorum(options?: ControllerCallOptions): Promise<internal.DescribeQuorumResponse> {
    const quorum = await this.#controller('DescribeQuorum', true, (c, o) => c.describeQuorum({}, o), options);
    this.options.controllers.learn(quorum.voters);
    return quorum;
  }

  #controller<Res>(
    what: string,
    repeatable: boolean,
    send: (client: ReturnType<typeof controllerOf>, options: CallOptions) => Promise<Res>,
    options: ControllerCallOptions | undefined,
  ): Promise<Res> {
    return this.#call({ what, repeatable, send: (channel, o) => send(controllerOf(channel), o) }, options);
  }

  #admin<Res>(
    what: string,
    send: (client: ReturnType<typeof adminOf>, options: CallOptions) => Promise<Res>,
    options: ControllerCallOptions | undefined,
  ): Promise<Res> {
    return this.#call({ what, repeatable: false, send: (channel, o) => send(adminOf(channel), o) }, options);
  }

  /** What may be asked twice. */
  #read<Res>(
    what: string,
    send: (client: ReturnType<typeof adminOf>, options: CallOptions) => Promise<Res>,
    options: ControllerCallOptions | undefined,
  ): Promise<Res> {
    return this.#call({ what, repeatable: true, send: (channel, o) => send(adminOf(channel), o) }, options);
  }

  async #call<Res>(call: Call<Res>, options: ControllerCallOptions = {}): Promise<Res> {
    const { clock, timers, random, logger } = this.options;
    const deadline = clock.monotonic() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const backoff = new Backoff(BACKOFF, random);
    for (;;) {
      const target = this.#target ?? this.options.controllers.at(this.#next++);
      const left = deadline - clock.monotonic();
      try {
        const answer = await call.send(this.#channel(target), callOptions(left, options.signal));
        this.#target = target;
        return answer;
      } catch (caught) {
        const error = toBarnabasError(caught);
        const wait = backoff.next();
        const last = options.signal?.aborted === true || clock.monotonic() + wait >= deadline;
        const leader = error.errorName === 'NOT_CONTROLLER' ? await this.#leaderAt(target, options.signal) : undefined;
        // One that refuses and calls itself the leader is about to stop, or to begin.
        this.#target = leader !== undefined && isSame(leader, target) ? undefined : leader;
        if (last || !mayRetry(error, call.repeatable)) throw error;
        logger.debug('A call to a controller failed and is made again', {
          call: call.what,
          controller: target.id ?? formatAddress(target),
          error: error.errorName,
        });
        await delay(timers, wait, options.signal);
      }
    }
  }

  /** Who leads, as that controller knows; undefined if it does not know or does not answer. */
  async #leaderAt(place: ControllerPlace, signal: AbortSignal | undefined): Promise<ControllerPlace | undefined> {
    const { controllers } = this.options;
    try {
      const options = callOptions(DESCRIBE_QUORUM_TIMEOUT_MS, signal);
      const { leaderId, voters } = await controllerOf(this.#channel(place)).describeQuorum({}, options);
      controllers.learn(voters);
      return controllers.withId(leaderId);
    } catch {
      // Whoever is asked next will know better.
      return undefined;
    }
  }

  #channel(place: ControllerPlace): Channel {
    return this.options.connector.channel(formatAddress(place));
  }
}

function isSame(one: ControllerPlace, other: ControllerPlace): boolean {
  return formatAddress(one) === formatAddress(other);
}

const controllerOf = (channel: Channel) => channel.client(internal.ControllerServiceDefinition);
const adminOf = (channel: Channel) => channel.client(v1.AdminServiceDefinition);

function callOptions(timeoutMs: number, signal: AbortSignal | undefined): CallOptions {
  return { timeoutMs: Math.max(1, timeoutMs), ...(signal === undefined ? {} : { signal }) };
}

function mayRetry(error: BarnabasError, repeatable: boolean): boolean {
  switch (error.action) {
    case 'retry-elsewhere':
    case 'back-off':
    case 'slow-down':
      return true;
    case 'retry-if-idempotent':
      return repeatable;
    case 'fix-request':
    case 'refresh-metadata':
    case 'reset-offset':
    case 'stop':
    case 'rejoin':
    case 'report':
      return false;
  }
}
