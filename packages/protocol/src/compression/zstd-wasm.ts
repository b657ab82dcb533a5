/**
 * zstd compiled to WebAssembly, for Node versions whose zlib has none (below 22.15).
 *
 * Drives the exported C functions of @bokuweb/zstd-wasm itself instead of its wrapper, for three
 * reasons: loading is synchronous and happens at first use; the output goes into a buffer of our
 * size, which zstd does not exceed; input is copied once each way.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tooLargeWhenDecompressed, undecodable } from './limits.js';
import type { ZstdFrame } from './zstd-frame.js';

/** Node has it; the types of Node 20 leave it to the browser's. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => object;
};

/** The part of the emscripten module that is used here. Sizes and addresses are unsigned 32-bit numbers. */
interface ZstdModule {
  instantiateWasm?: (imports: object, receive: (instance: object) => unknown) => unknown;
  init(bytes: Uint8Array): void;
  /** Replaced when memory grows: never keep it over a call. */
  HEAPU8: Uint8Array;
  _malloc(size: number): number;
  _free(address: number): void;
  _ZSTD_isError(result: number): number;
  _ZSTD_compressBound(size: number): number;
  _ZSTD_compress(target: number, capacity: number, source: number, size: number, level: number): number;
  _ZSTD_decompress(target: number, capacity: number, source: number, size: number): number;
}

/** ZSTD_error_dstSize_tooSmall. */
const TARGET_TOO_SMALL = 70;

let loaded: ZstdModule | undefined;

function zstd(): ZstdModule {
  if (loaded !== undefined) return loaded;
  // The package exports only its wrapper; the module lies beside it.
  const requireBeside = createRequire(require.resolve('@bokuweb/zstd-wasm'));
  const { Module: module } = requireBeside('./zstd.js') as { Module: ZstdModule };
  const bytes = readFileSync(requireBeside.resolve('./zstd.wasm'));
  module.instantiateWasm = (imports, receive) =>
    receive(new WebAssembly.Instance(new WebAssembly.Module(bytes), imports));
  module.init(bytes);
  loaded = module;
  return module;
}

export function zstdCompressByWasm(data: Uint8Array, level: number): Buffer {
  const capacity = zstd()._ZSTD_compressBound(data.length);
  const { result, content } = run(data, capacity, (module, target, source) =>
    module._ZSTD_compress(target, capacity, source, data.length, level),
  );
  if (content === undefined) throw new Error(`zstd failed to compress with code ${result}`);
  return content;
}

export function zstdDecompressByWasm(data: Uint8Array, frame: ZstdFrame, maxBytes: number): Buffer {
  const capacity = frame.contentBound;
  const { result, content } = run(data, capacity, (module, target, source) =>
    module._ZSTD_decompress(target, capacity, source, data.length),
  );
  if (content !== undefined) return content;
  // The buffer is as large as the frame can fill or as the cap, so only the cap can have been too small.
  if (-result >>> 0 === TARGET_TOO_SMALL) throw tooLargeWhenDecompressed('zstd', maxBytes);
  throw undecodable('zstd', `code ${-result >>> 0}`);
}

/** Copies `data` in, calls `work`, copies what it wrote out, and gives the memory back whatever happens. */
function run(
  data: Uint8Array,
  capacity: number,
  work: (module: ZstdModule, target: number, source: number) => number,
): { result: number; content: Buffer | undefined } {
  const module = zstd();
  const source = allocate(module, data.length);
  try {
    const target = allocate(module, capacity);
    try {
      module.HEAPU8.set(data, source);
      const result = work(module, target, source);
      if (module._ZSTD_isError(result) !== 0) return { result, content: undefined };
      return { result, content: Buffer.from(module.HEAPU8.subarray(target, target + result)) };
    } finally {
      module._free(target);
    }
  } finally {
    module._free(source);
  }
}

function allocate(module: ZstdModule, size: number): number {
  const address = module._malloc(Math.max(size, 1)) >>> 0;
  if (address === 0) throw new Error(`zstd cannot allocate ${size} bytes`);
  return address;
}
