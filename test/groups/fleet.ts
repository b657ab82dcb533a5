/**
 * The members of a run: so many seats, each with a language and a gateway to begin with, and in each seat a
 * process that is killed, told to leave, hindered and started again. Every process is a member of its own in the
 * history: `go-2.1` is the first process in the second seat of Go.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GroupMember } from '../support/group-member.js';
import type { Program } from '../support/examples.js';
import type { GroupEvent } from './history.js';

export interface FleetOptions {
  /** By name; seats are given to them in turn. */
  readonly programs: ReadonlyMap<string, Program>;
  readonly seats: number;
  /** Each seat begins with another of them. */
  readonly bootstrap: readonly string[];
  readonly group: string;
  readonly topic: string;
  readonly areStatic: boolean;
  readonly logs: string;
  readonly onEvent: (event: GroupEvent) => void;
  /** Something that must not happen. */
  readonly onProblem: (text: string) => void;
}

/** How long a member may take to leave: its commit and its goodbye may wait for a new coordinator. */
const LEAVE_MS = 30_000;
const RESTART_AFTER_MS = 500;

export interface Seat {
  /** Language and number. */
  readonly name: string;
  readonly language: string;
  readonly program: Program;
  readonly bootstrap: readonly string[];
  lives: number;
  member: GroupMember | undefined;
  memberName: string;
  memberId: string;
  /** The gateway that speaks for it; that of a direct member is none. */
  address: string;
  /** Faults that keep it from going on. */
  hindrances: number;
  /** Partitions that it says it owns. */
  readonly owned: Set<number>;
  /** When it was last given a record. */
  lastRecordMs: number;
  isExpectedToEnd: boolean;
}

export class Fleet {
  readonly seats: readonly Seat[];
  readonly #options: FleetOptions;
  #isClosing = false;

  constructor(options: FleetOptions) {
    this.#options = options;
    const programs = [...options.programs];
    this.seats = Array.from({ length: options.seats }, (_, index) => {
      const [language, program] = programs[index % programs.length] ?? ['', undefined];
      if (program === undefined) throw new Error('there is no program for members');
      const round = Math.floor(index / programs.length);
      // So that each language is found at each gateway.
      const first = (index + round) % options.bootstrap.length;
      return {
        name: `${language}-${round + 1}`,
        language,
        program,
        bootstrap: [...options.bootstrap.slice(first), ...options.bootstrap.slice(0, first)],
        ...{ lives: 0, member: undefined, memberName: '', memberId: '', address: '', owned: new Set<number>() },
        ...{ hindrances: 0, lastRecordMs: 0, isExpectedToEnd: false },
      };
    });
  }

  /** Starts a process in the seat, unless one runs. */
  start(seat: Seat): void {
    if (this.#isClosing || (seat.member !== undefined && !seat.member.hasExited)) return;
    const { group, topic, areStatic, logs, onEvent, onProblem } = this.#options;
    const name = `${seat.name}.${++seat.lives}`;
    const now = () => performance.now();
    seat.memberName = name;
    seat.isExpectedToEnd = false;
    seat.hindrances = 0;
    seat.owned.clear();
    const member = new GroupMember({
      ...{ program: seat.program, bootstrap: seat.bootstrap, group, topic },
      instanceId: areStatic ? seat.name : undefined,
      logFile: path.join(logs, `${seat.name}.log`),
      listener: {
        onJoined: (memberId, address) => {
          seat.memberId = memberId;
          seat.address = address;
        },
        onAssigned: (partition, offset) => {
          seat.owned.add(partition);
          onEvent({ kind: 'assigned', atMs: now(), member: name, memberId: seat.memberId, partition, offset });
        },
        onGone: (partition, kind) => {
          seat.owned.delete(partition);
          onEvent({ kind, atMs: now(), member: name, partition });
        },
        onRecord: (partition, offset, value) => {
          seat.lastRecordMs = now();
          onEvent({
            kind: 'record',
            atMs: now(),
            member: name,
            partition,
            offset,
            value: Number(value.split(' ', 1)[0]),
          });
        },
        onNonsense: (line) => onProblem(`${name} has printed: ${line}`),
      },
    });
    seat.member = member;
    void member.exited.then(async ({ code, signal }) => {
      onEvent({ kind: 'exit', atMs: now(), member: name });
      if (seat.isExpectedToEnd || this.#isClosing) return;
      onProblem(`${name} has ended by itself with ${signal ?? `code ${code}`}`);
      await sleep(RESTART_AFTER_MS);
      if (seat.member === member) this.start(seat);
    });
  }

  /** Seats whose process runs and nothing keeps from going on. */
  get running(): readonly Seat[] {
    return this.seats.filter(({ member, hindrances }) => member?.hasExited === false && hindrances === 0);
  }

  /** Who believes to own the partition is kept from going on. */
  isHindered(partition: number): boolean {
    return this.seats.some(({ owned, hindrances }) => hindrances > 0 && owned.has(partition));
  }

  /** Of the seat, for whoever does something to it. */
  processOf({ memberName: name, member }: Seat): { readonly name: string; readonly process: GroupMember | undefined } {
    return { name, process: member };
  }

  /** Who each running process is. */
  *names(): Iterable<readonly [pid: number, name: string]> {
    for (const { member, memberName } of this.seats) {
      if (member?.hasExited !== false) continue;
      for (const pid of member.pids) yield [pid, memberName];
    }
  }

  /** Something is in the way of the member's process from now on, until the function that is returned is called. */
  hinder(seat: Seat): () => void {
    const { member, memberName } = seat;
    const { onEvent } = this.#options;
    seat.hindrances++;
    onEvent({ kind: 'hindered', atMs: performance.now(), member: memberName });
    return () => {
      onEvent({ kind: 'free', atMs: performance.now(), member: memberName });
      if (seat.member === member) seat.hindrances--;
    };
  }

  /** kill -9. */
  async kill(seat: Seat): Promise<void> {
    const { member } = seat;
    if (member === undefined || member.hasExited) return;
    seat.isExpectedToEnd = true;
    this.#options.onEvent({ kind: 'kill', atMs: performance.now(), member: seat.memberName });
    member.signal('SIGKILL');
    await member.exited;
    seat.owned.clear();
  }

  /** SIGTERM: it leaves in good order. */
  async stop(seat: Seat): Promise<void> {
    const { member, memberName } = seat;
    if (member === undefined || member.hasExited) return;
    seat.isExpectedToEnd = true;
    this.#options.onEvent({ kind: 'stop', atMs: performance.now(), member: memberName });
    member.signal('SIGTERM');
    const timer = setTimeout(() => {
      this.#options.onProblem(`${memberName} has not left ${LEAVE_MS} ms after SIGTERM, and is killed`);
      this.#options.onEvent({ kind: 'kill', atMs: performance.now(), member: memberName });
      member.signal('SIGKILL');
    }, LEAVE_MS);
    const { code } = await member.exited;
    clearTimeout(timer);
    if (code !== 0 && code !== null) this.#options.onProblem(`${memberName} has left with code ${code}`);
    seat.owned.clear();
  }

  async stopAll(): Promise<void> {
    await Promise.all(this.seats.map((seat) => this.stop(seat)));
  }

  /** Ends every process, in whatever state it is. */
  async close(): Promise<void> {
    this.#isClosing = true;
    for (const { member } of this.seats) member?.signal('SIGKILL');
    await Promise.all(this.seats.flatMap(({ member }) => (member === undefined ? [] : [member.exited])));
  }
}

/** Of a member's process, by its name. */
export function languageOf(memberName: string): string {
  return memberName.slice(0, memberName.lastIndexOf('-'));
}
