/**
 * What a message would roughly weigh on the wire: exact for the byte fields that dominate large
 * messages, a guess for the rest. Roles of one process pay for memory, not for encoding.
 */
const OVERHEAD_BYTES = 64;

/** Includes a constant for the message itself, so that a flood of empty ones has weight too. */
export function estimateBytes(message: unknown): number {
  return OVERHEAD_BYTES + weigh(message);
}

function weigh(value: unknown): number {
  switch (typeof value) {
    case 'string':
      return value.length;
    case 'object': {
      if (value === null) return 0;
      if (value instanceof Uint8Array) return value.byteLength;
      let sum = 0;
      if (Array.isArray(value)) for (const item of value) sum += weigh(item);
      else for (const key in value) sum += weigh(value[key as keyof typeof value]);
      return sum;
    }
    case 'undefined':
      return 0;
    case 'number':
    case 'bigint':
    case 'boolean':
    case 'symbol':
    case 'function':
      return 4;
  }
}
