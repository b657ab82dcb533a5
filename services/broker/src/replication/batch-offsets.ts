/** Where batches lie, read off their bytes. */

/** Base offset of the first batch in the buffer: the first eight bytes of Kafka's format. */
export function baseOffsetOf(batches: Uint8Array): number {
  const view = new DataView(batches.buffer, batches.byteOffset, batches.byteLength);
  return Number(view.getBigInt64(0));
}
