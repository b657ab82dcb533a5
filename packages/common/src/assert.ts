/**
 * Invariant checks. They stay on in production: a broken invariant is a fault, not an error a
 * client can act on. Whoever catches an InvariantError resigns its role, logs it and ends the
 * process with a non-zero code (docs/architecture.md, section 10).
 */

/** Facts that explain a failure; every value must be printable as JSON. */
export type Facts = Readonly<Record<string, string | number | boolean | null | undefined>>;

export class InvariantError extends Error {
  override readonly name = 'InvariantError';
  constructor(
    message: string,
    readonly facts: Facts = {},
  ) {
    super(Object.keys(facts).length === 0 ? message : `${message} ${JSON.stringify(facts)}`);
  }
}

/** Throws an InvariantError when `condition` is false. `message` says what must hold. */
export function assert(condition: boolean, message: string, facts?: Facts): asserts condition {
  if (!condition) throw new InvariantError(message, facts);
}

/** The value, which must be present; for map look-ups whose key is known to be there. */
export function present<T>(value: T | undefined | null, what: string, facts?: Facts): T {
  if (value === undefined || value === null) throw new InvariantError(`${what} must be present`, facts);
  return value;
}

/** Marks the branch that an exhaustive switch cannot reach. */
export function unreachable(value: never): never {
  throw new InvariantError('unreachable', { value: String(value) });
}
