/**
 * Registers that are written and read: the model, and what a history of several of them is judged by.
 *
 * Two shortcuts, both exact:
 *   - each register is judged alone; a history is linearizable if each object's part of it is (Herlihy and Wing)
 *   - a write of unknown outcome whose value nobody has read is left out: as no read stands between it
 *     and the next write, an order with it is one without it as well. Without this, every such write
 *     doubles the search. It needs values that are written once.
 */
import { checkLinearizable } from './checker.js';
import type { Model, Operation } from './checker.js';

export type RegisterAction =
  | { readonly type: 'write'; readonly register: string; readonly value: string }
  /** Undefined: nothing had been written. */
  | { readonly type: 'read'; readonly register: string; readonly value: string | undefined };

export type RegisterOperation = Operation<RegisterAction>;

const registerModel: Model<string | undefined, RegisterAction> = {
  initial: undefined,
  apply: (state, action) => {
    if (action.type === 'write') return { state: action.value };
    return state === action.value ? { state } : undefined;
  },
  key: (state) => (state === undefined ? 'nothing' : `=${state}`),
};

/** What is wrong with the history; undefined if it is linearizable. Values are written once; a read that failed is no operation. */
export function registersProblem(history: readonly RegisterOperation[]): string | undefined {
  const byRegister = new Map<string, RegisterOperation[]>();
  for (const operation of history) {
    const { register } = operation.action;
    const known = byRegister.get(register);
    if (known === undefined) byRegister.set(register, [operation]);
    else known.push(operation);
  }
  for (const [register, operations] of byRegister) {
    const verdict = checkLinearizable(withoutUnseen(operations), registerModel);
    if (verdict.linearizable === 'undecided') return `register ${register}: its history is too tangled to be judged`;
    if (!verdict.linearizable) {
      return `register ${register}: no order explains ${told(verdict.stuckAt)}; around it: ${around(operations, verdict.stuckAt)}`;
    }
  }
  return undefined;
}

function withoutUnseen(operations: readonly RegisterOperation[]): readonly RegisterOperation[] {
  const seen = new Set(operations.map(({ action }) => (action.type === 'read' ? action.value : undefined)));
  return operations.filter(({ endedAt, action }) => endedAt !== undefined || seen.has(action.value));
}

function told({ action, invokedAt, endedAt }: RegisterOperation): string {
  return `${action.type} of ${action.value ?? 'nothing'} from ${invokedAt} to ${endedAt ?? 'an unknown end'}`;
}

/** What happened at the same time, and what was written or read shortly before. */
function around(operations: readonly RegisterOperation[], at: RegisterOperation): string {
  const end = at.endedAt ?? Number.POSITIVE_INFINITY;
  const earlier = operations.filter((one) => one !== at && one.invokedAt < end);
  return earlier
    .sort((one, other) => one.invokedAt - other.invokedAt)
    .slice(-8)
    .map(told)
    .join('; ');
}
