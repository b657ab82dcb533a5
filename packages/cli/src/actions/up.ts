/**
 * `barnabas up`: a whole cluster of child processes. Standard output is JSON lines:
 *
 *   {"role","id","pid","address"}          a node is up
 *   {"ready":true,"bootstrap"}             the cluster serves: every broker unfenced, every gateway up
 *   {"role","id","pid","exited","signal"}  a node ended by itself
 */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Action, CommandContext } from '../command-context.js';
import { CliError } from '../errors.js';
import { generateClusterId } from '../node/cluster-id.js';
import { openDataDirectory } from '../node/data-directory.js';
import type { DataDirectory } from '../node/data-directory.js';
import { freePorts } from '../node/free-ports.js';
import { NodeProcess } from '../up/node-process.js';
import { HOST, planCluster, portsNeeded } from '../up/plan.js';
import type { ClusterPlan, ClusterShape, PlannedNode } from '../up/plan.js';
import { Supervisor } from '../up/supervisor.js';

interface UpFlags extends ClusterShape {
  readonly dataDir: string;
  readonly basePort: number;
  readonly set?: readonly string[];
  readonly logLevel: string;
  readonly restart?: boolean;
  readonly graceMs: number;
}

/** The cluster's own directory is no node's. */
const NO_NODE = 0;
const READY_TIMEOUT_MS = 60_000;
const READY_POLL_MS = 50;
const RESTART_AFTER_MS = 500;

export const up: Action<UpFlags> = async (context, _args, flags) => {
  const directory = openDataDirectory(flags.dataDir);
  try {
    const clusterId = clusterIdOf(directory);
    mkdirSync(path.join(directory.path, 'logs'), { recursive: true });
    const plan = await makePlan(flags, directory.path);
    const supervisor = new Supervisor({
      plan,
      startNode: (node) => NodeProcess.start(node, argsOf(node, plan, clusterId, flags)),
      clusterReady: (signal) => waitUntilReady(context, plan, flags.brokers, signal),
      report: (line) => void context.terminal.stdout.write(`${JSON.stringify(line)}\n`),
      restart: flags.restart === true,
      restartAfterMs: RESTART_AFTER_MS,
      graceMs: flags.graceMs,
      stopped: context.terminal.interrupted,
    });
    await supervisor.run();
    return undefined;
  } finally {
    directory.release();
  }
};

function clusterIdOf(directory: DataDirectory): string {
  const clusterId = directory.identity?.clusterId ?? generateClusterId();
  directory.claim({ clusterId, nodeId: NO_NODE });
  return clusterId;
}

async function makePlan(flags: UpFlags, dataDir: string): Promise<ClusterPlan> {
  const { basePort } = flags;
  const ports = basePort === 0 ? { free: await freePorts(HOST, portsNeeded(flags)) } : { basePort };
  return planCluster(flags, dataDir, ports);
}

function argsOf(node: PlannedNode, plan: ClusterPlan, clusterId: string, flags: UpFlags): readonly string[] {
  const portFlags: Readonly<Record<PlannedNode['role'], readonly string[]>> = {
    controller: ['--controller-port', String(node.port)],
    broker: ['--broker-port', String(node.port)],
    gateway: ['--port', String(node.port), '--http-port', String(node.httpPort)],
  };
  return [
    ...['start', '--role', node.role, '--data-dir', node.dataDir, '--node-id', String(node.id)],
    ...['--cluster-id', clusterId, '--host', node.host, ...portFlags[node.role]],
    ...['--set', `controller.quorum.voters=${plan.voters}`],
    ...(flags.set ?? []).flatMap((assignment) => ['--set', assignment]),
    ...['--log-level', flags.logLevel, '--grace-ms', String(flags.graceMs), '--json', '--stop-with-stdin'],
  ];
}

/** Every node says that it serves; this asks whether the cluster agrees about its brokers. */
async function waitUntilReady(
  context: CommandContext,
  plan: ClusterPlan,
  brokers: number,
  signal: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  await context.withClient(
    async (client) => {
      const admin = client.admin();
      while (!signal.aborted) {
        const cluster = await admin.describeCluster();
        const serving = cluster.brokers.filter((broker) => !broker.fenced).length;
        if (serving === brokers) return;
        if (performance.now() > deadline) {
          throw new CliError(
            `only ${serving} of ${brokers} brokers are ready after ${READY_TIMEOUT_MS / 1000} s: see their logs`,
          );
        }
        await sleep(READY_POLL_MS);
      }
    },
    { bootstrap: plan.bootstrap },
  );
}
