/**
 * Is a history linearizable? Wing and Gong's search for an order of the operations, as Lowe refined it
 * ("Testing for linearizability", 2017): whichever operation may come next is tried, and no state of
 * the search (what has been placed, and what it led to) is looked at twice.
 *
 * An operation whose outcome is unknown has no end: it may have taken effect at any time after it was
 * invoked, or never.
 *
 * Knows nothing of time or of what the operations are: the order of invocations and ends is given as
 * numbers, what an operation does as a model.
 */

export interface Operation<Action> {
  /** Moments of one clock; no two moments of a history are equal. */
  readonly invokedAt: number;
  /** Undefined: nobody knows how it ended. */
  readonly endedAt: number | undefined;
  readonly action: Action;
}

/** What is correct when operations come one after another. */
export interface Model<State, Action> {
  readonly initial: State;
  /** The state after the action, or undefined where the action could not have gone like this. */
  apply(state: State, action: Action): { readonly state: State } | undefined;
  /** Equal for equal states, different for different ones. */
  key(state: State): string;
}

export type Verdict<Action> =
  | { readonly linearizable: true }
  /** `stuckAt`: the operation that could not be placed where the search got furthest. */
  | { readonly linearizable: false; readonly placed: number; readonly stuckAt: Operation<Action> }
  /** The search was given up. */
  | { readonly linearizable: 'undecided' };

/** States of the search, beyond which it is given up: a history that needs them is beyond judging. */
const MAX_STATES = 300_000;

interface Node<Action> {
  readonly operation: Operation<Action>;
  /** Among completed operations the order of invocation; those of unknown outcome behind them. */
  readonly number: number;
  /** The end of the operation; the other node of the pair knows. */
  readonly isEnd: boolean;
  end: Node<Action> | undefined;
  before: Node<Action> | undefined;
  after: Node<Action> | undefined;
}

export function checkLinearizable<State, Action>(
  history: readonly Operation<Action>[],
  model: Model<State, Action>,
  maxStates = MAX_STATES,
): Verdict<Action> {
  const head = linked(history);
  const placed = new Placed(history.length);
  const seen = new Set<string>();
  const steps: { readonly node: Node<Action>; readonly state: State }[] = [];
  let furthest: Verdict<Action> = { linearizable: true };
  let furthestCount = -1;
  let { initial: state } = model;
  let node = head.after;
  let open = history.filter(({ endedAt }) => endedAt !== undefined).length;
  while (open > 0) {
    if (node !== undefined && !node.isEnd) {
      const next = model.apply(state, node.operation.action);
      if (next !== undefined && isNew(node, next.state)) {
        steps.push({ node, state });
        state = next.state;
        placed.add(node.number);
        if (node.end !== undefined) open -= 1;
        takeOut(node);
        node = head.after;
      } else {
        node = node.after;
      }
      continue;
    }
    // An end has come of something that is not placed, so nothing behind it may come next: one step back.
    if (node !== undefined && placed.count > furthestCount) {
      furthestCount = placed.count;
      furthest = { linearizable: false, placed: placed.count, stuckAt: node.operation };
    }
    if (seen.size > maxStates) return { linearizable: 'undecided' };
    const last = steps.pop();
    if (last === undefined) return furthest;
    state = last.state;
    placed.remove(last.node.number);
    if (last.node.end !== undefined) open += 1;
    putBack(last.node);
    node = last.node.after;
  }
  return { linearizable: true };

  function isNew(candidate: Node<Action>, result: State): boolean {
    placed.add(candidate.number);
    const key = `${placed.key()} ${model.key(result)}`;
    placed.remove(candidate.number);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  }
}

/** The operations that have been placed, as a set with a short name. */
class Placed {
  readonly #is: Uint8Array;
  /** All before it are placed. */
  #prefix = 0;
  /** Nothing behind it is. */
  #end = 0;
  count = 0;

  constructor(size: number) {
    this.#is = new Uint8Array(size);
  }

  add(number: number): void {
    this.#is[number] = 1;
    this.count += 1;
    this.#end = Math.max(this.#end, number + 1);
    while (this.#is[this.#prefix] === 1) this.#prefix += 1;
  }

  remove(number: number): void {
    this.#is[number] = 0;
    this.count -= 1;
    this.#prefix = Math.min(this.#prefix, number);
    while (this.#end > 0 && this.#is[this.#end - 1] !== 1) this.#end -= 1;
  }

  key(): string {
    let key = `${this.#prefix}`;
    for (let number = this.#prefix; number < this.#end; number++) if (this.#is[number] === 1) key += `,${number}`;
    return key;
  }
}

/** Invocations and ends in the order of their moments, behind a head that is neither. */
function linked<Action>(history: readonly Operation<Action>[]): { after: Node<Action> | undefined } {
  const byInvocation = [...history].sort((one, other) => one.invokedAt - other.invokedAt);
  const numbered = [
    ...byInvocation.filter(({ endedAt }) => endedAt !== undefined),
    ...byInvocation.filter(({ endedAt }) => endedAt === undefined),
  ];
  const moments: { readonly at: number; readonly node: Node<Action> }[] = [];
  numbered.forEach((operation, number) => {
    const plain = { operation, number, before: undefined, after: undefined };
    const end: Node<Action> | undefined =
      operation.endedAt === undefined ? undefined : { ...plain, isEnd: true, end: undefined };
    moments.push({ at: operation.invokedAt, node: { ...plain, isEnd: false, end } });
    if (end !== undefined) moments.push({ at: operation.endedAt ?? 0, node: end });
  });
  moments.sort((one, other) => one.at - other.at);
  const head: { after: Node<Action> | undefined } = { after: undefined };
  let last: Node<Action> | undefined;
  for (const { node } of moments) {
    node.before = last;
    if (last === undefined) head.after = node;
    else last.after = node;
    last = node;
  }
  // The head is a node like any other to whoever takes nodes out behind it.
  if (head.after !== undefined) head.after.before = head as Node<Action>;
  return head;
}

/** Takes an operation, invocation and end, out of the list; each remembers where it stood. */
function takeOut<Action>(node: Node<Action>): void {
  unlink(node);
  if (node.end !== undefined) unlink(node.end);
}

/** In the opposite order, so that each finds its neighbours as it left them. */
function putBack<Action>(node: Node<Action>): void {
  if (node.end !== undefined) link(node.end);
  link(node);
}

function unlink<Action>(node: Node<Action>): void {
  if (node.before !== undefined) node.before.after = node.after;
  if (node.after !== undefined) node.after.before = node.before;
}

function link<Action>(node: Node<Action>): void {
  if (node.before !== undefined) node.before.after = node;
  if (node.after !== undefined) node.after.before = node;
}
