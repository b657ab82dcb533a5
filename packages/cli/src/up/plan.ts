/**
 * Which nodes `barnabas up` runs, where they listen and where they keep their data. Pure.
 *
 * From a base port P: gateway i at P+i-1 with HTTP at P+80+i-1, broker i at P+100+i-1, controller i
 * at P+200+i-1: with P = 7600 the first of each has the port it also has alone.
 */
import path from 'node:path';
import { UsageError } from '../errors.js';
import type { RoleName } from '../node/role-set.js';

export interface ClusterShape {
  readonly brokers: number;
  readonly controllers: number;
  readonly gateways: number;
}

export interface PlannedNode {
  readonly role: RoleName;
  /** From 1 in each role. */
  readonly id: number;
  readonly host: string;
  readonly port: number;
  /** Gateways only. */
  readonly httpPort: number | undefined;
  readonly dataDir: string;
  readonly logFile: string;
}

export interface ClusterPlan {
  readonly nodes: readonly PlannedNode[];
  /** Kafka's form, for controller.quorum.voters. */
  readonly voters: string;
  /** Where clients begin: the gateways, or the brokers if there is none. */
  readonly bootstrap: readonly string[];
}

export const HOST = '127.0.0.1';
const OFFSETS: Readonly<Record<RoleName | 'http', number>> = { gateway: 0, http: 80, broker: 100, controller: 200 };
const MAX_PORT = 65_535;

/** How many ports a cluster of this shape needs. */
export function portsNeeded({ brokers, controllers, gateways }: ClusterShape): number {
  return brokers + controllers + 2 * gateways;
}

/** `free`: ports to use instead of those from the base port, as many as portsNeeded says. */
export function planCluster(
  shape: ClusterShape,
  dataDir: string,
  ports: { readonly basePort: number } | { readonly free: readonly number[] },
): ClusterPlan {
  const nextFree = 'free' in ports ? ports.free.values() : undefined;
  const basePort = 'basePort' in ports ? ports.basePort : 0;
  if (nextFree === undefined) checkRanges(shape, basePort);
  const port = (kind: RoleName | 'http', id: number) => nextFree?.next().value ?? basePort + OFFSETS[kind] + id - 1;
  const node = (role: RoleName, id: number): PlannedNode => ({
    role,
    id,
    host: HOST,
    port: port(role, id),
    httpPort: role === 'gateway' ? port('http', id) : undefined,
    dataDir: path.join(dataDir, `${role}-${id}`),
    logFile: path.join(dataDir, 'logs', `${role}-${id}.log`),
  });
  const many = (role: RoleName, count: number) => Array.from({ length: count }, (_, index) => node(role, index + 1));

  const controllers = many('controller', shape.controllers);
  const brokers = many('broker', shape.brokers);
  const gateways = many('gateway', shape.gateways);
  return {
    nodes: [...controllers, ...brokers, ...gateways],
    voters: controllers.map(({ id, host, port: at }) => `${id}@${host}:${at}`).join(','),
    bootstrap: (gateways.length > 0 ? gateways : brokers).map(({ host, port: at }) => `${host}:${at}`),
  };
}

function checkRanges({ brokers, controllers, gateways }: ClusterShape, basePort: number): void {
  // Beyond these, the ports of one role would run into those of the next.
  if (gateways > OFFSETS.http || gateways > OFFSETS.broker - OFFSETS.http) {
    throw new UsageError(`more than ${OFFSETS.broker - OFFSETS.http} gateways need --base-port 0`);
  }
  if (brokers > OFFSETS.controller - OFFSETS.broker) {
    throw new UsageError(`more than ${OFFSETS.controller - OFFSETS.broker} brokers need --base-port 0`);
  }
  const highest = basePort + OFFSETS.controller + controllers - 1;
  if (highest > MAX_PORT) {
    throw new UsageError(
      `--base-port must be at most ${MAX_PORT - OFFSETS.controller - controllers + 1}: ports up to ${highest} would be needed`,
    );
  }
}
