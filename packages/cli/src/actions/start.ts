/**
 * `barnabas start`: runs a node until it is told to stop or one of its roles fails.
 *
 * Ends with 0 after a stop in good order, with 1 after a fault. The first signal stops within the
 * grace; the second ends the process at once (terminal.ts).
 */
import type { Readable } from 'node:stream';
import type { Logger } from '@barnabas/common';
import { formatAddress } from '@barnabas/common/config';
import { createPinoLogger } from '@barnabas/common/node';
import type { LogLevel } from '@barnabas/common/node';
import type { Action, CommandContext } from '../command-context.js';
import { EXIT_FAILED, EXIT_OK } from '../errors.js';
import { layersOf } from '../node/node-flags.js';
import type { NodeFlags } from '../node/node-flags.js';
import { chooseRoles } from '../node/role-set.js';
import { startNode } from '../node/start-node.js';
import type { NodeOptions, RunningNode } from '../node/start-node.js';

interface StartFlags extends NodeFlags {
  readonly role?: readonly string[];
  readonly logLevel?: LogLevel;
  readonly graceMs: number;
  readonly stopWithStdin?: boolean;
}

/** After a fault the other roles get this long at most: what is broken may never answer. */
const GRACE_AFTER_FAULT_MS = 5_000;
/** Where `barnabas up` was killed, its controllers go at the same time: a broker would wait for them in vain. */
const GRACE_OF_ORPHANS_MS = 2_000;

export const start: Action<StartFlags> = async (context, _args, flags) => {
  const { terminal } = context;
  const logger = createPinoLogger({ level: flags.logLevel ?? (terminal.stderrIsTerminal ? 'warn' : 'info') });
  const stopWatching = endOnUnhandledErrors(logger);
  try {
    const stopRequested = stopRequest(context, flags.stopWithStdin === true);
    const stopped = new AbortController();
    void stopRequested.then(() => stopped.abort());
    const node = await startUnless(stopped.signal, {
      roles: chooseRoles(flags.role ?? []),
      dataDir: flags.dataDir,
      layers: layersOf(flags, terminal.environment),
      logger,
    });
    if (node === undefined) return EXIT_OK;
    announce(context, node);
    return await serve(node, stopRequested, flags, logger);
  } finally {
    stopWatching();
  }
};

/** Undefined if the node is told to stop before it serves: one whose controllers are away may wait for ever. */
async function startUnless(signal: AbortSignal, options: NodeOptions): Promise<RunningNode | undefined> {
  try {
    return await startNode({ ...options, signal });
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

/** Until the node is told to stop, or fails. */
async function serve(
  node: RunningNode,
  stopRequested: Promise<StopReason>,
  { graceMs }: StartFlags,
  logger: Logger,
): Promise<number> {
  try {
    const reason = await Promise.race([stopRequested, node.failed]);
    await node.stop(reason === 'orphaned' ? Math.min(graceMs, GRACE_OF_ORPHANS_MS) : graceMs);
    return EXIT_OK;
  } catch (fault) {
    logger.error('A role failed; the node ends', { action: 'look at the error, then start it again', error: fault });
    await node.stop(Math.min(graceMs, GRACE_AFTER_FAULT_MS));
    return EXIT_FAILED;
  }
}

type StopReason = 'interrupted' | 'orphaned';

/** Resolves with the first request to stop: a signal, or for a child of `barnabas up` the end of standard input. */
function stopRequest({ terminal }: CommandContext, withStdin: boolean): Promise<StopReason> {
  return new Promise((resolve) => {
    const interrupt = () => resolve('interrupted');
    if (terminal.interrupted.aborted) interrupt();
    terminal.interrupted.addEventListener('abort', interrupt, { once: true });
    if (!withStdin) return;
    const orphan = () => resolve('orphaned');
    terminal.stdin.once('end', orphan).once('close', orphan).once('error', orphan);
    terminal.stdin.resume();
    // Reading keeps a process alive; only the node should.
    (terminal.stdin as Readable & { unref?(): void }).unref?.();
  });
}

/** What nobody caught is a fault: it is logged, and the process ends before it does more harm. Returns what undoes this. */
function endOnUnhandledErrors(logger: Logger): () => void {
  const onError = (error: unknown) => {
    logger.error('An error that nobody handled; the process ends', { action: 'report it with this line', error });
    process.exit(EXIT_FAILED);
  };
  process.on('uncaughtException', onError);
  process.on('unhandledRejection', onError);
  return () => {
    process.off('uncaughtException', onError);
    process.off('unhandledRejection', onError);
  };
}

function announce(context: CommandContext, node: RunningNode): void {
  const { output, terminal } = context;
  const roles = Object.fromEntries([...node.addresses].map(([role, address]) => [role, formatAddress(address)]));
  const http = node.http === undefined ? undefined : formatAddress(node.http);
  if (context.json) {
    const { nodeId, clusterId, bootstrap } = node;
    output.json({ ready: true, nodeId, clusterId, pid: process.pid, roles, http, bootstrap });
  } else {
    const places = http === undefined ? roles : { ...roles, http: `http://${http} (/health/ready, /metrics)` };
    const lines = Object.entries(places).map(([role, address]) => `  ${role.padEnd(10)} ${address}`);
    output.line(`Barnabas is running; data in ${node.dataDir}`);
    output.line(lines.join('\n'));
    if (terminal.stdoutIsTerminal && node.bootstrap !== undefined) output.line(examples(node.bootstrap));
  }
  output.push();
}

function examples(bootstrap: string): string {
  const option = bootstrap === '127.0.0.1:7600' ? '' : ` --bootstrap ${bootstrap}`;
  return [
    '',
    'Try, in another terminal:',
    `  echo hello | npx barnabas${option} produce greetings`,
    `  npx barnabas${option} consume greetings --from-beginning`,
    '',
    'Ctrl-C stops it.',
  ].join('\n');
}
