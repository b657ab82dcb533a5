/**
 * What the four roles have in common. A role changes the node's shared state and sends messages; it
 * never changes into another role itself but says so, and RaftCore does it.
 */
import type { Message, RoleName } from './types.js';

/** What a role wants to become. `transferred`: a candidate, because the leader has asked for it. */
export type Transition = RoleName | 'transferred' | undefined;

export interface Role {
  readonly name: RoleName;
  /** Called once, when the role begins. */
  enter(): Transition;
  tick(): Transition;
  /** A message of the node's own term (or a pre-vote's answer); requests for votes do not come here. */
  step(message: Message): Transition;
}
