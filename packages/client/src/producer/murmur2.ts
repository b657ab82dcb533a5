/**
 * Murmur2 exactly as org.apache.kafka.common.utils.Utils.murmur2 computes it, so that a key goes to
 * the same partition whichever client wrote it.
 */
const SEED = 0x9747b28c | 0;
const M = 0x5bd1e995;

/** A signed 32-bit hash. */
export function murmur2(data: Uint8Array): number {
  const { length } = data;
  const end = length & ~3;
  let hash = SEED ^ length;
  for (let index = 0; index < end; index += 4) {
    let k =
      (data[index] as number) |
      ((data[index + 1] as number) << 8) |
      ((data[index + 2] as number) << 16) |
      ((data[index + 3] as number) << 24);
    k = Math.imul(k, M);
    k ^= k >>> 24;
    hash = Math.imul(hash, M) ^ Math.imul(k, M);
  }
  // The last one to three bytes, each falling into the next case as in Kafka.
  const rest = length & 3;
  if (rest === 3) hash ^= (data[end + 2] as number) << 16;
  if (rest >= 2) hash ^= (data[end + 1] as number) << 8;
  if (rest >= 1) hash = Math.imul(hash ^ (data[end] as number), M);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, M);
  return hash ^ (hash >>> 15);
}

/** Kafka's Utils.toPositive: clears the sign bit, which is not the absolute value. */
export function toPositive(hash: number): number {
  return hash & 0x7fffffff;
}

/** The partition of a key: Kafka's BuiltInPartitioner.partitionForKey. */
export function partitionForKey(key: Uint8Array, partitionCount: number): number {
  return toPositive(murmur2(key)) % partitionCount;
}
