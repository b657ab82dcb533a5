/** What a member sends, hears and does, as data; and the rules that need no state. */
import type { BarnabasError, ErrorName } from '@barnabas/protocol';
import type { GroupSubscription, GroupTopicPartition } from '../group-types.js';

export interface MemberSettings {
  /** Empty: not a static member. */
  readonly instanceId: string;
  /** How long the application may take to give partitions up. */
  readonly rebalanceTimeoutMs: number;
  readonly subscription: GroupSubscription;
  /** The id may be taken up by somebody else while this member lives: a node that speaks for a client. */
  readonly isResumable: boolean;
  /** A membership to go on with. */
  readonly resume: ResumedMember | undefined;
  readonly newMemberId: () => string;
}

export interface ResumedMember {
  readonly memberId: string;
  readonly memberEpoch: number;
  /** The one to speak with: above every one that has spoken for the member, or tried to. */
  readonly incarnation: number;
  readonly owned: readonly GroupTopicPartition[];
}

/** One call of ConsumerGroupHeartbeat. */
export interface Heartbeat {
  /** `say` and `join` are answered at once, `wait` is held until there is news. */
  readonly kind: 'join' | 'say' | 'wait' | 'leave';
  readonly memberId: string;
  readonly memberEpoch: number;
  readonly incarnation: number;
  /** With all that the member says of itself. */
  readonly describes: boolean;
  /** Undefined: as it was. */
  readonly subscription: GroupSubscription | undefined;
  readonly owned: { readonly appliedVersion: number; readonly partitions: readonly GroupTopicPartition[] } | undefined;
  readonly enforceRebalance: boolean;
  readonly maxWaitMs: number;
  /** When an answer is not worth waiting for any more. */
  readonly patienceMs: number;
}

/** The coordinator's. */
export interface Answer {
  readonly memberEpoch: number;
  readonly heartbeatIntervalMs: number;
  readonly sessionTimeoutMs: number;
  readonly assignment: { readonly version: number; readonly partitions: readonly GroupTopicPartition[] } | undefined;
}

export type MemberEffect =
  /** Answered by `answered` or `failed` with the id. */
  | { readonly kind: 'send'; readonly id: number; readonly heartbeat: Heartbeat }
  /** Nobody waits for the answer any more. */
  | { readonly kind: 'cancel'; readonly id: number }
  /** Said once; whatever comes of it. */
  | { readonly kind: 'farewell'; readonly heartbeat: Heartbeat }
  | { readonly kind: 'joined' }
  /** The member's epoch is another. */
  | { readonly kind: 'moved' }
  | { readonly kind: 'assigned'; readonly partitions: readonly GroupTopicPartition[] }
  /** To be released within the grace. */
  | { readonly kind: 'revoked'; readonly partitions: readonly GroupTopicPartition[]; readonly graceMs: number }
  | { readonly kind: 'lost'; readonly partitions: readonly GroupTopicPartition[]; readonly error: BarnabasError }
  /** Another member has the instance id still; tried again. */
  | { readonly kind: 'waiting'; readonly error: BarnabasError }
  /** The membership is over, and not by leaving. */
  | { readonly kind: 'fatal'; readonly error: BarnabasError }
  /** With what kept the coordinator from hearing of it. */
  | { readonly kind: 'left'; readonly error: BarnabasError | undefined };

/** Pauses before the next attempt. */
export const RECOVERY = { retryMs: 1_000, instanceMs: 1_000 } as const;

const LEAVING_EPOCH = -1;
const STATIC_LEAVING_EPOCH = -2;

/** A static member's place is kept for a session. */
export function leavingEpoch(instanceId: string): number {
  return instanceId === '' ? LEAVING_EPOCH : STATIC_LEAVING_EPOCH;
}

/** Below the rebalance timeout, which the coordinator counts from before the member has heard of it. */
export function graceOf(rebalanceTimeoutMs: number): number {
  return Math.floor(rebalanceTimeoutMs * 0.9);
}

export type Recovery = 'rejoin' | 'wait-for-instance' | 'retry' | 'end';

const REJOIN: ReadonlySet<ErrorName> = new Set(['UNKNOWN_MEMBER_ID', 'FENCED_MEMBER_EPOCH', 'STALE_MEMBER_EPOCH']);

/** What a member does about a heartbeat that was refused. */
export function recoveryFrom({ errorName, retriable }: BarnabasError): Recovery {
  if (REJOIN.has(errorName)) return 'rejoin';
  if (errorName === 'UNRELEASED_INSTANCE_ID') return 'wait-for-instance';
  return retriable ? 'retry' : 'end';
}
