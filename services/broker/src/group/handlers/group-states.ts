/** Kafka's names of group states, and the numbers that stand for them on the wire. */
import { BarnabasError, v1 } from '@barnabas/protocol';
import type { GroupState } from '../../core/group/index.js';

const STATES: Readonly<Record<GroupState, v1.GroupState>> = {
  Empty: v1.GroupState.EMPTY,
  Assigning: v1.GroupState.ASSIGNING,
  Reconciling: v1.GroupState.RECONCILING,
  Stable: v1.GroupState.STABLE,
  Dead: v1.GroupState.DEAD,
};

const BY_NUMBER = new Map(Object.entries(STATES).map(([state, number]) => [number, state as GroupState]));

export function stateToProto(state: GroupState): v1.GroupState {
  return STATES[state];
}

/** Throws INVALID_REQUEST. */
export function stateFromProto(state: v1.GroupState): GroupState {
  const known = BY_NUMBER.get(state);
  if (known !== undefined) return known;
  throw new BarnabasError('INVALID_REQUEST', `there is no group state ${state}`);
}
