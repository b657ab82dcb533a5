/** One life of a member: a process that joins its group and reads what it is given. */
import type { ClientProcess } from '../../cluster/clients/client-process.js';
import type { MemberPlan } from '../plan.js';
import type { GroupsWorld } from '../world.js';

/** By topic names, or by a pattern. */
export type Wish = readonly string[] | { readonly pattern: string };

export interface LifeParts {
  readonly world: GroupsWorld;
  readonly groupId: string;
  readonly plan: MemberPlan;
  readonly process: ClientProcess;
  readonly wish: Wish;
  /** The membership is over, and not by leaving. */
  readonly onOver: (why: string) => void;
}

export interface MemberLife {
  subscribe(wish: Wish): void;
  /** The application does nothing for a while. */
  busy(ms: number): void;
  /** Reads some of what it owns again. */
  rewind(): void;
  enforceRebalance(): void;
  /** Ends in good order; resolves when it has. */
  leave(timeoutMs: number): Promise<void>;
  /** The process is dead. */
  died(): void;
}

export function topicsOf(wish: Wish): readonly string[] {
  return 'pattern' in wish ? [] : wish;
}

export function patternOf(wish: Wish): string {
  return 'pattern' in wish ? wish.pattern : '';
}
