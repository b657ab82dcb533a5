/** What happened in a chaos run, as the checker sees it. Values are numbers, each sent once in a run. */

/** A send as it was begun; its outcome is filled in. `info`: whether the records are in the log is unknown. */
export interface Send {
  readonly kind: 'send';
  /** Sends of one process to one partition are ordered. After a broken stream a client is another process. */
  readonly process: string;
  readonly partition: number;
  readonly values: readonly number[];
  /** The client sends again without a producer id: the API lets such a record come twice. */
  readonly mayDuplicate: boolean;
  /** The API promises that the values lie together. */
  readonly isContiguous: boolean;
  outcome: 'ok' | 'fail' | 'info';
  /** Of the first value, if acknowledged and told. */
  offset: number | undefined;
}

/** Records that a process was given together, of one partition. */
export interface Poll {
  readonly kind: 'poll';
  readonly process: string;
  readonly partition: number;
  readonly offsets: readonly number[];
  readonly values: readonly number[];
}

/** The process begins anew somewhere: what it is given next need not follow what it was given before. */
export interface Assign {
  readonly kind: 'assign';
  readonly process: string;
}

export type Operation = Send | Poll | Assign;

/** Whoever reads every partition from its beginning when all is over. */
export const FINAL = 'final';

/** Sends stand in the order in which they were begun, polls in the order in which they ended. */
export type History = readonly Operation[];
