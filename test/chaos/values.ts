/** A value of the history as the bytes of a record: its number, and padding so that batches differ in size. */
export function encodeValue(value: number): string {
  return `${value} ${'x'.repeat((value * 37) % 300)}`;
}

export function decodeValue(bytes: Uint8Array | null | undefined): number {
  return Number(
    Buffer.from(bytes ?? [])
      .toString()
      .split(' ', 1)[0],
  );
}
