/**
 * Formats a node's store: gives the disk its directory id, the node its cluster, and the log the
 * configuration that it begins with. Once in the life of a disk; one that is lost and formatted again
 * is another replica, which remembers none of the promises of the one before.
 *
 * The first voters of a cluster format with the same list, so that all begin with one configuration
 * without having talked to each other. Whoever joins later formats with nobody, and waits as an observer.
 */
import { BarnabasError, crc32c } from '@barnabas/protocol';
import { SeededRandom } from '@barnabas/common';
import type { Random } from '@barnabas/common';
import type { KeyValueStore } from '@barnabas/store';
import { isPlainText } from '../core/index.js';
import type { Member } from '../core/index.js';
import type { Voter } from '../types.js';
import * as layout from './layout.js';
import type { Identity } from './layout.js';
import { damaged } from './recovery.js';

export interface FormatOptions {
  readonly clusterId: string;
  readonly nodeId: number;
  /** The first voters of a new cluster; nobody for a node that joins one. */
  readonly initialVoters: readonly Voter[];
  /** Left out: that of the initial voter with this node id, else a random one. */
  readonly directoryId?: string;
  readonly random: Random;
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** A random UUID (version 4) in base64url, 22 characters; never one that a command line takes for an option. */
export function randomDirectoryId(random: Random): string {
  const bytes = Buffer.from(Array.from({ length: 16 }, () => random.below(256)));
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const text = bytes.toString('base64url');
  return ALPHABET.indexOf(text.charAt(0)) === 62 ? randomDirectoryId(random) : text;
}

/**
 * The directory id of an initial voter for which none was given: the same wherever it is worked out. It
 * does not tell a lost disk from its successor: formatting such a voter anew with the initial voters
 * makes it the old voter without its memory. Format it as a node that joins instead.
 */
export function directoryIdOf(clusterId: string, nodeId: number): string {
  return randomDirectoryId(new SeededRandom(crc32c(Buffer.from(`${clusterId}/${nodeId}`))));
}

/** Throws KAFKA_STORAGE_ERROR if there is anything in the store, INVALID_CONFIG for voters that cannot be. */
export async function formatStore(store: KeyValueStore, options: FormatOptions): Promise<Identity> {
  const { clusterId, nodeId, random } = options;
  const voters = checkedVoters(options);
  const own = voters.find(({ id }) => id === nodeId)?.directoryId;
  if (own !== undefined && options.directoryId !== undefined && own !== options.directoryId) {
    throw invalid(`the initial voters give node ${nodeId} the directory id ${own}, not ${options.directoryId}`);
  }
  const { entries } = await store.readChunk({ limit: 1, keysOnly: true, chunkBytes: 1 });
  if (entries.length > 0) throw damaged('the store is not empty, and does not say whose it is');
  const identity = { clusterId, nodeId, directoryId: options.directoryId ?? own ?? randomDirectoryId(random) };
  const first = { id: 0, mark: { index: 0, term: 0 }, chunks: 0, configuration: { voters, learners: [] } };
  await store.write(
    [
      { type: 'put', key: layout.IDENTITY_KEY, value: layout.encodeIdentity(identity) },
      { type: 'put', key: layout.SNAPSHOT_KEY, value: layout.encodeSnapshotPointer(first) },
    ],
    { sync: true },
  );
  return identity;
}

function checkedVoters({ clusterId, nodeId, initialVoters }: FormatOptions): Member[] {
  if (clusterId === '') throw invalid('a cluster id is needed: format the cluster first');
  const ids = initialVoters.map(({ id }) => id);
  if ([nodeId, ...ids].some((id) => !Number.isInteger(id) || id < 0 || id >= 2 ** 31)) {
    throw invalid(`nodes have ids from 0 to 2^31-1, not ${[nodeId, ...ids].join(', ')}`);
  }
  if (new Set(ids).size !== ids.length) throw invalid(`the initial voters name an id twice: ${ids.join(', ')}`);
  const voters = initialVoters.map(({ id, endpoint, directoryId }) => ({
    ...{ id, endpoint, directoryId: directoryId ?? directoryIdOf(clusterId, id) },
  }));
  for (const { endpoint, directoryId } of voters) {
    const isPlain = endpoint !== '' && isPlainText(endpoint) && isPlainText(directoryId);
    if (!isPlain) throw invalid(`an initial voter has a host:port and a directory id in ASCII, not ${endpoint}`);
  }
  // In one order, so that the lists may be written in any.
  return voters.sort((a, b) => a.id - b.id);
}

function invalid(text: string): BarnabasError {
  return new BarnabasError('INVALID_CONFIG', text);
}
