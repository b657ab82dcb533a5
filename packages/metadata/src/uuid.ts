/** Kafka's ids: random UUIDs (version 4) in base64url without padding, 22 characters. */
import type { Random } from '@barnabas/common';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const UUID = /^[A-Za-z0-9_-]{22}$/;

export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** Like Kafka's, it never begins with '-', so that no command line takes it for an option. */
export function randomUuid(random: Random): string {
  const text = encode(randomBytes(random));
  return text.startsWith('-') ? randomUuid(random) : text;
}

function randomBytes(random: Random): Uint8Array {
  const bytes = Uint8Array.from({ length: 16 }, () => random.below(256));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes;
}

function encode(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    for (bits += 8; bits >= 6; bits -= 6) text += ALPHABET.charAt((held >>> (bits - 6)) & 63);
    held &= 0xff;
  }
  return text + ALPHABET.charAt((held << (6 - bits)) & 63);
}
