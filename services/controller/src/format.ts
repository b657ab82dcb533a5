/**
 * Formats a controller's metadata log before its first start (`barnabas storage format`), so that who
 * votes first is said once, by a person, and a disk that is lost is never mistaken for a new cluster's.
 */
import type { Random } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import { formatStore, readIdentity } from '@barnabas/raft';
import type { Identity, Voter } from '@barnabas/raft';
import type { StoreFactory } from '@barnabas/store';

export interface FormatControllerOptions {
  readonly store: StoreFactory;
  /** metadata.log.dir */
  readonly directory: string;
  readonly clusterId: string;
  readonly nodeId: number;
  /** The first voters of a new cluster, this controller among them; nobody for one that joins. */
  readonly initialVoters: readonly Voter[];
  readonly random: Random;
}

export interface FormattedController extends Identity {
  /** It had been formatted before, for the same node of the same cluster, and is as it was. */
  readonly isOld: boolean;
}

/**
 * Rejects with INCONSISTENT_CLUSTER_ID or INVALID_CONFIG for a log of another cluster or node, with
 * KAFKA_STORAGE_ERROR for a directory that holds something else.
 */
export async function formatController(options: FormatControllerOptions): Promise<FormattedController> {
  const { clusterId, nodeId, initialVoters, random } = options;
  const store = await options.store.open(options.directory);
  try {
    const identity = await readIdentity(store);
    if (identity === undefined) {
      return { ...(await formatStore(store, { clusterId, nodeId, initialVoters, random })), isOld: false };
    }
    if (identity.clusterId !== clusterId) {
      throw new BarnabasError(
        'INCONSISTENT_CLUSTER_ID',
        `${options.directory} belongs to cluster ${identity.clusterId}, not ${clusterId}: format another directory`,
      );
    }
    if (identity.nodeId !== nodeId) {
      throw new BarnabasError(
        'INVALID_CONFIG',
        `${options.directory} belongs to controller ${identity.nodeId}, not ${nodeId}: format another directory`,
      );
    }
    return { ...identity, isOld: true };
  } finally {
    await store.close();
  }
}

/** Whose metadata log it is; undefined if there is none, or it is not formatted. */
export async function controllerIdentity(store: StoreFactory, directory: string): Promise<Identity | undefined> {
  const opened = await store.openReadOnly(directory);
  try {
    return await readIdentity(opened);
  } finally {
    await opened.close();
  }
}
