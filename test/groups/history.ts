/**
 * What happened in a run of the groups harness, in the order in which the harness heard of it. A member is
 * one process: started again, it is another one.
 */

export type GroupEvent =
  /** The member owns the partition from now on, and is given records from this offset. */
  | {
      readonly kind: 'assigned';
      readonly atMs: number;
      readonly member: string;
      /** As the coordinator knows it: its id. */
      readonly memberId: string;
      readonly partition: number;
      readonly offset: number;
    }
  /** It has given the partition up, or was told that it is not its own any more. */
  | {
      readonly kind: 'revoked' | 'lost';
      readonly atMs: number;
      readonly member: string;
      readonly partition: number;
    }
  | {
      readonly kind: 'record';
      readonly atMs: number;
      readonly member: string;
      readonly partition: number;
      readonly offset: number;
      readonly value: number;
    }
  /** The process was killed, told to leave, or has ended. */
  | { readonly kind: 'kill' | 'stop' | 'exit'; readonly atMs: number; readonly member: string }
  /** What the group has committed, asked for after everything that members had printed was read. */
  | { readonly kind: 'committed'; readonly atMs: number; readonly partition: number; readonly offset: number }
  /** The member ids that the coordinator says own each partition that is owned. It was asked at `askedMs`. */
  | {
      readonly kind: 'owners';
      readonly askedMs: number;
      readonly atMs: number;
      readonly owners: readonly (readonly [partition: number, memberIds: readonly string[]])[];
    }
  /** From here to the end the member's process stands still, or cannot reach whom it should. */
  | { readonly kind: 'hindered' | 'free'; readonly atMs: number; readonly member: string }
  /** From here to the end something is wrong with a node or its links. */
  | { readonly kind: 'fault' | 'fault-over'; readonly atMs: number; readonly node: string };

/** What a writer knows of a value in the end. */
export interface Written {
  readonly value: number;
  readonly partition: number;
  /** Acknowledged; nobody knows of the others. */
  readonly isAcknowledged: boolean;
  /** Where, if acknowledged and told. */
  readonly offset: number | undefined;
}
