/**
 * Runs roles in one process: binds them, starts them in order, watches them, stops them in reverse.
 *
 * Every server is bound before any role starts, with health NOT_SERVING, so that a probe finds a
 * node from its first moment and a role that calls another of this process finds it there.
 *
 * Invariants:
 *   N1  a role is reported as serving only between the end of its start and the beginning of its stop
 *   N2  whatever goes wrong on the way up, everything begun is stopped before the error is passed on
 *   N3  the first fault of any role is the node's fault
 */
import { deferred, present } from '@barnabas/common';
import type { Clock, Deferred, Logger } from '@barnabas/common';
import { formatAddress } from '@barnabas/common/config';
import type { Address } from '@barnabas/common/config';
import { serve } from '@barnabas/rpc';
import type { LocalNetwork, Role, RunningServer } from '@barnabas/rpc';
import { CliError } from '../errors.js';
import type { RoleName } from './role-set.js';

/** A role that is not made yet. */
export interface RoleSetup {
  readonly name: RoleName;
  /** One server each; the role is told of the first. */
  readonly listen: readonly Address[];
  /** How a user chooses another port: a flag or a configuration key. */
  readonly portSetting: string;
  readonly create: () => Role | Promise<Role>;
  /** Under which addresses co-located roles know this one, besides the one it is bound to. */
  readonly aliases: readonly string[];
}

export interface RoleRunnerOptions {
  readonly setups: readonly RoleSetup[];
  readonly local: LocalNetwork;
  readonly logger: Logger;
  readonly clock: Clock;
}

interface BoundRole {
  readonly role: Role;
  readonly servers: readonly RunningServer[];
  readonly bound: Address;
  readonly localAddresses: readonly string[];
}

export class RoleRunner {
  readonly #options: RoleRunnerOptions;
  readonly #roles: BoundRole[] = [];
  readonly #failed: Deferred<never> = deferred<never>();
  #stopping: Promise<void> | undefined;

  constructor(options: RoleRunnerOptions) {
    this.#options = options;
    // Whoever does not wait for faults must not end by an unhandled rejection.
    this.#failed.promise.catch(() => {});
  }

  /** Rejects with the first fault of any role. Never resolves. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** Where each role listens. */
  get addresses(): ReadonlyMap<RoleName, Address> {
    return new Map(this.#roles.map(({ role, bound }) => [role.name, bound]));
  }

  /**
   * Binds every role, then starts each. Stops everything if one of them fails, a fault comes meanwhile,
   * or `signal` is aborted: a role may wait for others for as long as it takes.
   */
  async start(signal?: AbortSignal): Promise<void> {
    const aborted = abortion(signal);
    try {
      for (const setup of this.#options.setups) this.#roles.push(await this.#bind(setup));
      for (const bound of this.#roles) {
        await Promise.race([bound.role.start(bound.bound), this.failed, aborted]);
        setServing(bound, true);
      }
    } catch (error) {
      await this.stop(0);
      throw error;
    }
  }

  /** Stops every role and server within `graceMs`, the last started first. Calling it again waits for the same stop. */
  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#stopAll(graceMs);
    return this.#stopping;
  }

  async #bind(setup: RoleSetup): Promise<BoundRole> {
    const role = await setup.create();
    role.failed.catch((fault: unknown) => this.#onFault(fault));
    const logger = this.#options.logger.child({ role: setup.name });
    const onFault = (fault: Error) => this.#onFault(fault);
    const servers: RunningServer[] = [];
    const addresses: Address[] = [];
    for (const listen of setup.listen) {
      try {
        // A host that is left open means every interface; '::' takes IPv4 as well.
        const host = listen.host === '' ? '::' : listen.host;
        const server = await serve({ listen: { host, port: listen.port }, services: role.services, logger, onFault });
        servers.push(server);
        addresses.push({ host: listen.host, port: server.port });
      } catch (error) {
        await Promise.all([role.stop(0), ...servers.map((server) => server.stop(0))]);
        throw explainBind(error, setup, listen);
      }
    }
    const bound = present(addresses[0], 'an address to listen on', { role: setup.name });
    const localAddresses = [...new Set([...addresses.map(formatAddress), ...setup.aliases])];
    for (const address of localAddresses) this.#options.local.register(address, role.services, { logger, onFault });
    return { role, servers, bound, localAddresses };
  }

  #onFault(fault: unknown): void {
    this.#failed.reject(fault instanceof Error ? fault : new Error(String(fault)));
  }

  async #stopAll(graceMs: number): Promise<void> {
    const deadline = this.#options.clock.monotonic() + graceMs;
    const left = () => Math.max(0, deadline - this.#options.clock.monotonic());
    for (const bound of this.#roles.toReversed()) {
      setServing(bound, false);
      await this.#attempt('A role could not be stopped in good order', bound, () => bound.role.stop(left()));
      const stopServers = async () => void (await Promise.all(bound.servers.map((server) => server.stop(left()))));
      await this.#attempt('A server could not be stopped in good order', bound, stopServers);
      for (const address of bound.localAddresses) this.#options.local.unregister(address);
    }
  }

  /** One role that fails to stop must not keep the others from it. */
  async #attempt(message: string, { role }: BoundRole, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.logger.error(message, { action: 'look at the log before this line', role: role.name, error });
    }
  }
}

/** Rejects when the signal is aborted. */
function abortion(signal: AbortSignal | undefined): Promise<never> {
  const aborted = new Promise<never>((_, reject) => {
    const abort = () => reject(new CliError('the node was told to stop while it was starting'));
    if (signal?.aborted === true) abort();
    signal?.addEventListener('abort', abort, { once: true });
  });
  aborted.catch(() => {});
  return aborted;
}

function setServing({ role, servers }: BoundRole, isServing: boolean): void {
  for (const server of servers) {
    server.setServing('', isServing);
    for (const { definition } of role.services) server.setServing(definition.fullName, isServing);
  }
}

function explainBind(error: unknown, { name, portSetting }: RoleSetup, listen: Address): unknown {
  const text = error instanceof Error ? error.message : String(error);
  const place = formatAddress({ ...listen, host: listen.host === '' ? '0.0.0.0' : listen.host });
  if (text.includes('EADDRINUSE')) {
    return new CliError(`the ${name} cannot listen on ${place}: the port is taken; choose another with ${portSetting}`);
  }
  if (text.includes('EACCES')) {
    return new CliError(`the ${name} may not listen on ${place}: choose a port above 1023 with ${portSetting}`);
  }
  if (text.includes('EADDRNOTAVAIL') || text.includes('ENOTFOUND')) {
    return new CliError(
      `the ${name} cannot listen on ${place}: this machine has no such address; choose one of its own`,
    );
  }
  return error;
}
