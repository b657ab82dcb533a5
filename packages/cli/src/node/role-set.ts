/** The roles a process can run, in the order in which they start. */
import { UsageError } from '../errors.js';

export const ROLES = ['controller', 'broker', 'gateway'] as const;
export type RoleName = (typeof ROLES)[number];

/** Which roles were asked for; all of them if none was. */
export function chooseRoles(asked: readonly string[]): readonly RoleName[] {
  const names = asked.flatMap((text) => text.split(',')).map((name) => name.trim());
  for (const name of names) {
    if (!ROLES.some((role) => role === name)) {
      throw new UsageError(`--role ${name} is no role: use ${ROLES.join(', ')}`);
    }
  }
  return names.length === 0 ? ROLES : ROLES.filter((role) => names.includes(role));
}
