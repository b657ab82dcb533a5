/**
 * The variable-length integers of records: zigzag, seven bits a byte, lowest first.
 *
 * Strict: one value has one encoding. A last byte of zero (overlong), a value beyond 32 bits or,
 * for 64-bit fields, beyond 2^53, and an encoding cut short are refused with INVALID_RECORD.
 * Positions are plain numbers so that hot loops allocate nothing.
 */
import { BarnabasError } from './errors.js';

/** Bytes that a 32-bit value takes. */
export function sizeOfVarint(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  if (zigzag < 0x80) return 1;
  if (zigzag < 0x4000) return 2;
  if (zigzag < 0x20_0000) return 3;
  return zigzag < 0x1000_0000 ? 4 : 5;
}

/** Writes a 32-bit value and returns the position after it. The caller has made room. */
export function writeVarint(bytes: Uint8Array, position: number, value: number): number {
  let zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  while (zigzag >= 0x80) {
    bytes[position++] = (zigzag & 0x7f) | 0x80;
    zigzag >>>= 7;
  }
  bytes[position++] = zigzag;
  return position;
}

const INT32_VARLONG_BOUND = 2 ** 31;
// A zigzag of up to 54 bits does not fit a double, so it is kept in two parts: 28 low bits
// (four bytes of encoding) and the rest.
const LOW_HALF = 2 ** 27;

/** Bytes that a 64-bit value (a safe integer) takes. */
export function sizeOfVarlong(value: number): number {
  if (value >= -INT32_VARLONG_BOUND && value < INT32_VARLONG_BOUND) return sizeOfVarint(value);
  const magnitude = value < 0 ? -value - 1 : value;
  const high = Math.floor(magnitude / LOW_HALF);
  if (high < 0x80) return 5;
  if (high < 0x4000) return 6;
  return high < 0x20_0000 ? 7 : 8;
}

/** Writes a 64-bit value (a safe integer) and returns the position after it. The caller has made room. */
export function writeVarlong(bytes: Uint8Array, position: number, value: number): number {
  if (value >= -INT32_VARLONG_BOUND && value < INT32_VARLONG_BOUND) return writeVarint(bytes, position, value);
  const sign = value < 0 ? 1 : 0;
  const magnitude = value < 0 ? -value - 1 : value;
  const low = (magnitude % LOW_HALF) * 2 + sign;
  bytes[position++] = (low & 0x7f) | 0x80;
  bytes[position++] = ((low >>> 7) & 0x7f) | 0x80;
  bytes[position++] = ((low >>> 14) & 0x7f) | 0x80;
  bytes[position++] = (low >>> 21) | 0x80;
  let high = Math.floor(magnitude / LOW_HALF);
  while (high >= 0x80) {
    bytes[position++] = (high & 0x7f) | 0x80;
    high >>>= 7;
  }
  bytes[position++] = high;
  return position;
}

/**
 * Reads varints one after the other from a stretch of bytes and never beyond `end`.
 * Public fields on purpose: a record decoder moves `position` itself over keys and values.
 */
export class VarintReader {
  constructor(
    readonly bytes: Uint8Array,
    public position: number,
    readonly end: number,
  ) {}

  /** The next signed 32-bit value. */
  readVarint(): number {
    const zigzag = this.#readUnsigned32();
    return (zigzag >>> 1) ^ -(zigzag & 1);
  }

  /** The next signed 64-bit value, a safe integer. */
  readVarlong(): number {
    const { bytes, end } = this;
    let position = this.position;
    // Almost always a small delta: one to four bytes.
    let low = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      if (position >= end) throw cutShort(position);
      const byte = bytes[position++] as number;
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) throw overlong(position);
        this.position = position;
        return (low >>> 1) ^ -(low & 1);
      }
    }
    return this.#readVarlongHigh(low, position);
  }

  #readVarlongHigh(low: number, start: number): number {
    const { bytes, end } = this;
    let position = start;
    let high = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      if (position >= end) throw cutShort(position);
      const byte = bytes[position++] as number;
      high |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0) throw overlong(position);
        const magnitude = high * LOW_HALF + (low >>> 1);
        const value = low & 1 ? -magnitude - 1 : magnitude;
        if (!Number.isSafeInteger(value)) throw tooLarge(position, 53);
        this.position = position;
        return value;
      }
    }
    throw tooLarge(position, 53);
  }

  #readUnsigned32(): number {
    const { bytes, end } = this;
    let position = this.position;
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      if (position >= end) throw cutShort(position);
      const byte = bytes[position++] as number;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) throw overlong(position);
        this.position = position;
        return value;
      }
    }
    if (position >= end) throw cutShort(position);
    const last = bytes[position++] as number;
    if (last > 0x0f) throw tooLarge(position, 32);
    if (last === 0) throw overlong(position);
    this.position = position;
    return (value | (last << 28)) >>> 0;
  }
}

function cutShort(position: number): BarnabasError {
  return new BarnabasError('INVALID_RECORD', `a varint is cut short at byte ${position}`, { position });
}

function overlong(position: number): BarnabasError {
  return new BarnabasError('INVALID_RECORD', `a varint before byte ${position} is longer than its value needs`, {
    position,
  });
}

function tooLarge(position: number, bits: number): BarnabasError {
  return new BarnabasError('INVALID_RECORD', `a varint before byte ${position} is beyond ${bits} bits`, { position });
}
