/** Names for clusters: 16 random bytes in 22 letters, as Kafka makes them. */
import { randomBytes } from 'node:crypto';

export function generateClusterId(): string {
  for (;;) {
    const id = randomBytes(16).toString('base64url');
    // One that begins with a dash would be taken for an option.
    if (!id.startsWith('-')) return id;
  }
}
