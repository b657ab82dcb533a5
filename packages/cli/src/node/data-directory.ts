/**
 * A node's directory: whose data is in it, and that only one process uses it.
 *
 *   <data-dir>/.lock                  the process that has it open
 *   <data-dir>/meta/meta.properties   cluster.id and node.id, as Kafka writes them
 *   <data-dir>/controller             the metadata log
 *   <data-dir>/broker                 partition logs
 *
 * Invariant: once written, a directory's cluster.id and node.id never change; a node with others is
 * refused before it opens anything. A cluster.id may be added where there was none.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { CliError } from '../errors.js';
import { DirectoryInUseError, lockDirectory } from './process-lock.js';
import type { ProcessLock } from './process-lock.js';

export interface Identity {
  /** Undefined for a node that was not told: its controllers know, and its roles check. */
  readonly clusterId: string | undefined;
  readonly nodeId: number;
}

export interface DataDirectory {
  readonly path: string;
  /** What the directory says of itself; undefined at the first start. */
  readonly identity: Identity | undefined;
  /** Where a role keeps its data. */
  roleDirectory(role: 'controller' | 'broker'): string;
  /** Notes whose data this is, durably; throws if it is another's. */
  claim(identity: Identity): void;
  /** Lets another process have it. */
  release(): void;
}

export function openDataDirectory(directory: string): DataDirectory {
  const root = path.resolve(directory);
  makeDirectory(path.join(root, 'meta'));
  const lock = takeLock(root);
  try {
    let identity = readProperties(propertiesFile(root));
    return {
      path: root,
      get identity() {
        return identity;
      },
      roleDirectory: (role) => path.join(root, role),
      claim(claimed) {
        refuseOther(root, identity, claimed);
        const merged = { clusterId: claimed.clusterId ?? identity?.clusterId, nodeId: claimed.nodeId };
        if (identity === undefined || identity.clusterId !== merged.clusterId) writeIdentity(root, merged);
        identity = merged;
      },
      release: () => lock.release(),
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

const propertiesFile = (root: string) => path.join(root, 'meta', 'meta.properties');

function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true });
  } catch (error) {
    const { code = 'failed' } = error as NodeJS.ErrnoException;
    throw new CliError(`cannot make ${directory} (${code}): choose another directory with --data-dir`);
  }
}

function takeLock(root: string): ProcessLock {
  try {
    return lockDirectory(root);
  } catch (error) {
    if (error instanceof DirectoryInUseError) {
      const advice = `stop it, or choose another directory with --data-dir`;
      throw new CliError(`data directory ${root} is in use by process ${error.owner.pid}: ${advice}`);
    }
    const { code = 'failed' } = error as NodeJS.ErrnoException;
    throw new CliError(`cannot write to data directory ${root} (${code}): choose another with --data-dir`);
  }
}

function refuseOther(root: string, stored: Identity | undefined, claimed: Identity): void {
  if (stored === undefined) return;
  const { clusterId } = stored;
  if (clusterId !== undefined && claimed.clusterId !== undefined && clusterId !== claimed.clusterId) {
    throw new CliError(
      `data directory ${root} belongs to cluster ${clusterId}, not ${claimed.clusterId}: choose another --data-dir, or the right --cluster-id`,
      undefined,
      'INCONSISTENT_CLUSTER_ID',
    );
  }
  if (stored.nodeId !== claimed.nodeId) {
    throw new CliError(
      `data directory ${root} belongs to node ${stored.nodeId}, not ${claimed.nodeId}: choose another --data-dir, or start with --node-id ${stored.nodeId}`,
    );
  }
}

/** What a directory says of itself, whether or not a node has it open; undefined for one that says nothing. */
export function readIdentity(directory: string): Identity | undefined {
  return readProperties(propertiesFile(path.resolve(directory)));
}

function readProperties(file: string): Identity | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const properties = new Map(
    text
      .split('\n')
      .filter((line) => line.includes('=') && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.indexOf('=')).trim(), line.slice(line.indexOf('=') + 1).trim()]),
  );
  const clusterId = properties.get('cluster.id');
  const nodeId = properties.get('node.id');
  if (properties.get('version') !== '1' || clusterId === '' || nodeId === undefined || !/^\d+$/.test(nodeId)) {
    throw new CliError(`${file} is damaged, or of another version of Barnabas: restore it before the node can start`);
  }
  return { clusterId, nodeId: Number(nodeId) };
}

/** Whole or not at all, also when the power goes: written aside, synced, renamed, and the rename synced. */
function writeIdentity(root: string, { clusterId, nodeId }: Identity): void {
  const file = propertiesFile(root);
  const draft = `${file}.draft`;
  rmSync(draft, { force: true });
  const descriptor = openSync(draft, 'w');
  try {
    const cluster = clusterId === undefined ? '' : `cluster.id=${clusterId}\n`;
    writeSync(descriptor, `version=1\n${cluster}node.id=${nodeId}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(draft, file);
  for (const directory of [path.dirname(file), root]) syncDirectory(directory);
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
