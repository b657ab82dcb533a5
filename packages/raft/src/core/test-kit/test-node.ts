/**
 * A node for tests: a core with a disk and a state machine, whose every step is taken by the test. The
 * disk holds what was stored when the node crashes; the group under way may get lost or not.
 */
import { present } from '@barnabas/common';
import { decodeConfiguration, isMembershipChange, NO_MEMBERS, RaftCore, Rules } from '../index.js';
import type {
  Configuration,
  CoreOptions,
  Entry,
  HardState,
  InstallSnapshot,
  Member,
  Message,
  NodeId,
  PersistGroup,
  Ready,
  SnapshotMark,
} from '../index.js';

/** A message on its way, with what the driver adds to an installSnapshot. */
export interface Packet {
  readonly message: Message;
  readonly content?: readonly Entry[];
}

export interface Disk {
  hardState: HardState;
  snapshot: SnapshotMark;
  /** As of the snapshot. */
  configuration: Configuration;
  /** What the snapshot contains: all entries applied up to it. */
  content: readonly Entry[];
  /** Those after the snapshot. */
  entries: Entry[];
}

/** A member of a test's quorum. Its directory id changes with its disk. */
export const memberNamed = (id: NodeId, disk = 1): Member => ({
  id,
  directoryId: `disk-${id}.${disk}`,
  endpoint: `host-${id}:7800`,
});

export const votersNamed = (...ids: readonly NodeId[]): Configuration => ({
  voters: ids.map((id) => memberNamed(id)),
  learners: [],
});

export class TestNode {
  disk: Disk;
  /** Everything that the state machine has seen. */
  applied: Entry[] = [];
  /** The group on its way to the disk. */
  group: PersistGroup | undefined;
  #core: RaftCore | undefined;
  readonly #received = new Map<number, { readonly content: readonly Entry[]; readonly configuration: Configuration }>();
  #disks = 1;

  /** `configuration` is what its disk was formatted with: the first voters of its quorum, or nobody. */
  constructor(
    public options: CoreOptions,
    configuration: Configuration,
    readonly rules = new Rules(),
  ) {
    this.disk = emptyDisk(configuration);
    this.start();
  }

  get id(): NodeId {
    return this.options.id;
  }
  get core(): RaftCore {
    return present(this.#core, 'core of a running node');
  }
  get member(): Member {
    return memberNamed(this.id, this.#disks);
  }
  get running(): boolean {
    return this.#core !== undefined;
  }

  start(): void {
    const { hardState, snapshot, configuration, content, entries } = this.disk;
    this.#core = new RaftCore(this.options, { hardState, snapshot, configuration, entries }, this.rules);
    this.applied = [...content];
  }

  /** A crash that takes the disk with it. What starts next is formatted anew, as an observer, under another directory id. Returns the lost one. */
  replaceDisk(): Disk {
    this.crash();
    const lost = this.disk;
    this.disk = emptyDisk(NO_MEMBERS);
    this.#disks++;
    this.options = { ...this.options, directoryId: this.member.directoryId };
    return lost;
  }

  /** `stored`: the group under way reaches the disk, though nobody hears of it. */
  crash(stored = false): void {
    if (stored && this.group !== undefined) this.#write(this.group);
    this.group = undefined;
    this.#core = undefined;
    this.#received.clear();
  }

  receive({ message, content }: Packet): void {
    // Behind the core's back: only what it asks for is used. A message for another disk is none of this one's.
    if (message.type === 'installSnapshot' && message.toDirectory === this.options.directoryId) {
      this.#received.set(message.snapshot.index, { content: content ?? [], configuration: message.configuration });
    }
    this.core.step(message);
  }

  /** Takes a Ready and applies what is in it. The caller sends its messages and stores its group. */
  ready(now?: number): Ready {
    const ready = this.core.ready(now);
    if (ready.persist !== undefined) this.group = ready.persist;
    if (ready.restore !== undefined) this.applied = [...this.disk.content];
    this.applied.push(...ready.committed);
    return ready;
  }

  /** The group reaches the disk. Returns the messages that waited for it. */
  store(): readonly Message[] {
    const group = present(this.group, 'group under way');
    this.#write(group);
    this.group = undefined;
    this.core.advance();
    return group.messages;
  }

  /** The snapshot that a message asks the follower to install; undefined if it is no longer the one in force. */
  contentOf({ snapshot }: InstallSnapshot): readonly Entry[] | undefined {
    return snapshot.index === this.disk.snapshot.index ? this.disk.content : undefined;
  }

  /** Makes a snapshot of the state machine and lets the log behind it go. */
  compact(): void {
    const last = this.applied.at(-1);
    if (last === undefined || last.index <= this.disk.snapshot.index || last.index <= this.core.status.snapshot.index) {
      return;
    }
    this.disk.snapshot = { index: last.index, term: last.term };
    this.disk.configuration = this.core.configurationAt(last.index);
    this.disk.content = [...this.applied];
    this.disk.entries = this.disk.entries.filter(({ index }) => index > last.index);
    this.core.compact(this.disk.snapshot);
  }

  /** Every configuration that its disk knows of. */
  get configurations(): readonly Configuration[] {
    const changes = this.disk.entries.filter(({ kind }) => isMembershipChange(kind));
    return [
      this.disk.configuration,
      ...changes.map(({ command }) => present(decodeConfiguration(command), 'configuration')),
    ];
  }

  /** Whether the disk holds an entry, itself or in its snapshot. */
  holdsOnDisk(index: number, term: number): boolean {
    return holds(this.disk, index, term);
  }

  #write({ snapshot, entries, hardState }: PersistGroup): void {
    const { disk } = this;
    if (snapshot !== undefined) {
      disk.snapshot = snapshot;
      const received = present(this.#received.get(snapshot.index), 'content of a received snapshot');
      disk.content = received.content;
      disk.configuration = received.configuration;
      disk.entries = [];
    }
    const first = entries[0];
    if (first !== undefined) {
      disk.entries = [...disk.entries.filter(({ index }) => index < first.index), ...entries].filter(
        ({ index }) => index > disk.snapshot.index,
      );
    }
    if (hardState !== undefined) disk.hardState = hardState;
  }
}

export function holds({ snapshot, content, entries }: Disk, index: number, term: number): boolean {
  if (index <= snapshot.index) return content[index - 1]?.term === term;
  return entries[index - snapshot.index - 1]?.term === term;
}

function emptyDisk(configuration: Configuration): Disk {
  const hardState = { term: 0, votedFor: undefined };
  return { hardState, snapshot: { index: 0, term: 0 }, configuration, content: [], entries: [] };
}

export const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
export const textOf = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
