/**
 * Calls about several things of which some failed. One error stands for all, so that nobody takes
 * half a success for a whole one; it carries what became of each.
 */
import { BarnabasError, errorFromProto } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';

export class PartialFailureError<T> extends BarnabasError {
  /** In the order of the request. */
  readonly results: readonly (T | BarnabasError)[];

  constructor(first: BarnabasError, results: readonly (T | BarnabasError)[]) {
    const failures = results.filter((result) => result instanceof BarnabasError);
    super(first.errorName, `${failures.length} of ${results.length} failed. ${textOf(failures)}`, first.facts);
    this.results = results;
  }
}

/** Different failures told apart in a message; what became of each is in `results`. */
const MOST_TEXTS = 5;

/** A thousand partitions of a broker that is down fail for one reason: it is said once. */
function textOf(failures: readonly BarnabasError[]): string {
  const times = new Map<string, number>();
  for (const { errorName, message } of failures) {
    const text = `${errorName}: ${message}`;
    times.set(text, (times.get(text) ?? 0) + 1);
  }
  const texts = [...times].map(([text, n]) => (n === 1 ? text : `${text} (${n} times)`));
  const rest = texts.length - MOST_TEXTS;
  return texts.slice(0, MOST_TEXTS).join('; ') + (rest > 0 ? `; and ${rest} more` : '');
}

/** The results if all succeeded; throws the failure of a single one as it is. */
export function allOf<T>(results: readonly (T | BarnabasError)[]): readonly T[] {
  const first = results.find((result) => result instanceof BarnabasError);
  if (first === undefined) return results as readonly T[];
  throw results.length === 1 ? first : new PartialFailureError(first, results);
}

/** Results as the wire has them, mapped, with errors in their places. */
export function mapResults<R extends { readonly error?: v1.Error | undefined }, T>(
  results: readonly R[],
  map: (result: R) => T,
): readonly T[] {
  return allOf(results.map((result) => (result.error === undefined ? map(result) : errorFromProto(result.error))));
}
