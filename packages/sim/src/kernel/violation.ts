/** A promise of the system under test that a checker found broken. `check` is the checker's name. */
import type { Facts } from '@barnabas/common';

export class Violation extends Error {
  override readonly name = 'Violation';
  constructor(
    readonly check: string,
    what: string,
    facts: Facts = {},
  ) {
    super(`${check}: ${what} ${JSON.stringify(facts)}`);
  }
}
