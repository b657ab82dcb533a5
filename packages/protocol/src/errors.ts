/**
 * The error that every part of Barnabas throws, sends and receives, and its way over the wire.
 * What each name means stands in error-table.ts and nowhere else.
 *
 * Not for broken invariants: those are InvariantErrors of @barnabas/common, which no client sees
 * and no handler turns into an answer.
 */
import type { Facts } from '@barnabas/common';
import { ERRORS } from './error-table.js';
import type { ClientAction, ErrorName, GrpcStatusName } from './error-table.js';

const NAMES_BY_CODE: ReadonlyMap<number, ErrorName> = new Map(
  (Object.keys(ERRORS) as ErrorName[]).map((name) => [ERRORS[name].code, name]),
);

/** A failure with a name from the table. `message` says what was wrong and what to do. */
export class BarnabasError extends Error {
  override readonly name = 'BarnabasError';
  readonly errorName: ErrorName;
  /** Kafka's number. */
  readonly code: number;
  readonly retriable: boolean;
  readonly action: ClientAction;
  /** The gRPC status when a whole call fails for this reason. */
  readonly status: GrpcStatusName;
  /** Numbers and names behind the message, for logs and tests. */
  readonly facts: Facts | undefined;

  constructor(errorName: ErrorName, message: string, facts?: Facts, options?: { readonly cause?: unknown }) {
    super(message, options);
    const entry = ERRORS[errorName];
    this.errorName = errorName;
    this.code = entry.code;
    this.retriable = entry.retriable;
    this.action = entry.action;
    this.status = entry.status;
    this.facts = facts;
  }
}

/**
 * An error that is an answer: whoever made it is of no interest, and a server may make thousands in a
 * turn, when it loses the lead of as many partitions. It has no stack, which is most of an error's cost.
 */
export function refusal(errorName: ErrorName, message: string, facts?: Facts): BarnabasError {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return new BarnabasError(errorName, message, facts);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** The name for one of Kafka's numbers; undefined for 0 (no error) and for numbers not in the table. */
export function errorNameOf(code: number): ErrorName | undefined {
  return NAMES_BY_CODE.get(code);
}

/** Whether a string, from a trailer for example, is a name in the table. */
export function isErrorName(name: string): name is ErrorName {
  return Object.hasOwn(ERRORS, name);
}

/** The wire's barnabas.v1.Error. */
export interface ErrorMessage {
  code: number;
  message: string;
  currentLeader: CurrentLeader | undefined;
}

/** A server of an earlier version says no more than the code and its text. */
type ReceivedError = Readonly<Pick<ErrorMessage, 'code' | 'message'> & Partial<ErrorMessage>>;

/** Who leads a partition, as an error says that refuses a request for it (KIP-951). */
export interface CurrentLeader {
  leaderId: number;
  leaderEpoch: number;
}

/** An error as received. A code that this version does not know becomes UNKNOWN_SERVER_ERROR with the code as a fact. */
export function errorFromProto(error: ReceivedError): BarnabasError {
  const name = errorNameOf(error.code);
  if (name !== undefined) return new BarnabasError(name, error.message || ERRORS[name].meaning, factsOf(error));
  return new BarnabasError('UNKNOWN_SERVER_ERROR', error.message || `the server answered with code ${error.code}`, {
    code: error.code,
  });
}

function factsOf({ currentLeader }: ReceivedError): Facts | undefined {
  return currentLeader && { leader: currentLeader.leaderId, leaderEpoch: currentLeader.leaderEpoch };
}

/** An error to send. */
export function errorToProto(error: BarnabasError): ErrorMessage {
  const { code, message } = error;
  return { code, message, currentLeader: currentLeaderOf(error) };
}

/**
 * REQUEST_TIMED_OUT: of a leader that has lost the lead while it waited for others. NOT_COORDINATOR: who
 * leads the group's partition of __consumer_offsets.
 */
const NAMES_A_LEADER: ReadonlySet<ErrorName> = new Set([
  'NOT_LEADER_OR_FOLLOWER',
  'FENCED_LEADER_EPOCH',
  'REQUEST_TIMED_OUT',
  'NOT_COORDINATOR',
]);

/** Whom to ask instead, where whoever refused knew: the facts `leader` and `leaderEpoch` of the error. */
export function currentLeaderOf({ errorName, facts }: BarnabasError): CurrentLeader | undefined {
  if (!NAMES_A_LEADER.has(errorName)) return undefined;
  const { leader, leaderEpoch } = facts ?? {};
  if (typeof leader !== 'number' || typeof leaderEpoch !== 'number' || leader < 0) return undefined;
  return { leaderId: leader, leaderEpoch };
}

/**
 * Whatever was caught, as a BarnabasError; anything without a name becomes UNKNOWN_SERVER_ERROR with
 * the original as its cause. A handler must let an InvariantError pass before it asks.
 */
export function toBarnabasError(error: unknown): BarnabasError {
  if (error instanceof BarnabasError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new BarnabasError('UNKNOWN_SERVER_ERROR', text, undefined, { cause: error });
}
