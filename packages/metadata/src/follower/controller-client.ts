/**
 * Calls to the active controller, whichever it is: starts with the one that answered last, learns the
 * leader from a controller that does not lead (DescribeQuorum), goes round the voters when nobody
 * answers, and gives up at the caller's deadline with the last error.
 *
 * What it retries: NOT_CONTROLLER and errors whose meaning is "back off" always, since nothing was
 * done; NETWORK_EXCEPTION and REQUEST_TIMED_OUT only for calls that may be made twice (`repeatable`),
 * since the controller may have acted.
 */
import type { Clock, Logger, Random, Timers } from '@barnabas/common';
import type { QuorumVoter } from '@barnabas/common/config';
import { formatAddress } from '@barnabas/common/config';
import { BarnabasError, internal, toBarnabasError, v1 } from '@barnabas/protocol';
import type { CallOptions, Channel, Connector } from '@barnabas/rpc';
import { Backoff, delay } from './backoff.js';

export interface ControllerClientOptions {
  readonly connector: Connector;
  /** controller.quorum.voters. */
  readonly voters: readonly QuorumVoter[];
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
  #target: QuorumVoter | undefined;
  #next = 0;

  constructor(private readonly options: ControllerClientOptions) {
    if (options.voters.length === 0)
      throw new BarnabasError('INVALID_CONFIG', 'controller.quorum.voters must not be empty');
    this.#next = options.random.below(options.voters.length);
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

  /** The quorum as its leader sees it; as any voter does, when no leader answers in time. */
  async describeQuorum(options?: ControllerCallOptions): Promise<internal.DescribeQuorumResponse> {
    return this.#controller('DescribeQuorum', true, (c, o) => c.describeQuorum({}, o), options);
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

  async #call<Res>(call: Call<Res>, options: ControllerCallOptions = {}): Promise<Res> {
    const { clock, timers, random, logger } = this.options;
    const deadline = clock.monotonic() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const backoff = new Backoff(BACKOFF, random);
    for (;;) {
      const target = this.#target ?? this.#nextVoter();
      const left = deadline - clock.monotonic();
      try {
        const answer = await call.send(this.#channel(target), callOptions(left, options.signal));
        this.#target = target;
        return answer;
      } catch (caught) {
        const error = toBarnabasError(caught);
        const wait = backoff.next();
        const last = options.signal?.aborted === true || clock.monotonic() + wait >= deadline;
        const leaderId =
          error.errorName === 'NOT_CONTROLLER' ? await this.#leaderAt(target, options.signal) : undefined;
        this.#target = leaderId === target.id ? undefined : this.#voter(leaderId);
        if (last || !mayRetry(error, call.repeatable)) throw error;
        logger.debug('A call to a controller failed and is made again', {
          call: call.what,
          controller: target.id,
          error: error.errorName,
        });
        await delay(timers, wait, options.signal);
      }
    }
  }

  /** Who leads, as that controller knows; undefined if it does not know or does not answer. */
  async #leaderAt(voter: QuorumVoter, signal: AbortSignal | undefined): Promise<number | undefined> {
    try {
      const options = callOptions(DESCRIBE_QUORUM_TIMEOUT_MS, signal);
      const { leaderId } = await controllerOf(this.#channel(voter)).describeQuorum({}, options);
      return leaderId < 0 ? undefined : leaderId;
    } catch {
      // Whoever is asked next will know better.
      return undefined;
    }
  }

  #voter(id: number | undefined): QuorumVoter | undefined {
    return this.options.voters.find((voter) => voter.id === id);
  }

  #nextVoter(): QuorumVoter {
    const { voters } = this.options;
    const voter = voters[this.#next++ % voters.length];
    if (voter === undefined) throw new BarnabasError('INVALID_CONFIG', 'controller.quorum.voters must not be empty');
    return voter;
  }

  #channel(voter: QuorumVoter): Channel {
    return this.options.connector.channel(formatAddress(voter));
  }
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
