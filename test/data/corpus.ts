/**
 * Real text to send: the files of installed npm packages, one after another, again and again until
 * the size is reached. Code, prose, messages in many languages and some bytes that are no text at
 * all, so that nothing on the way can rely on lines being UTF-8.
 *
 * Invariants: every chunk ends with a newline, and no line is longer than MAX_LINE_BYTES.
 */
import fs from 'node:fs';
import path from 'node:path';
import { repository } from '../support/server.js';

const NEWLINE = 0x0a;
const MAX_LINE_BYTES = 256 * 1024;
const CHUNK_BYTES = 1024 * 1024;
const FOLDERS = ['typescript/lib', '@bokuweb/zstd-wasm', 'protobufjs', 'commander', 'fast-check'];
const EXTENSIONS = /\.(js|ts|json|md|wasm)$/;

export class Corpus {
  private constructor(
    private readonly bytes: Buffer,
    readonly files: number,
  ) {}

  static load(): Corpus {
    const parts: Buffer[] = [];
    for (const folder of FOLDERS) {
      for (const file of filesOf(path.join(repository, 'node_modules', folder))) {
        const content = fs.readFileSync(file);
        if (content.length > 0 && longestLine(content) <= MAX_LINE_BYTES) parts.push(endedByNewline(content));
      }
    }
    if (parts.length === 0) throw new Error('no text to send: install the dependencies first');
    return new Corpus(Buffer.concat(parts), parts.length);
  }

  /** Whole lines, at least `totalBytes` of them, in chunks of about a mebibyte. */
  *chunks(totalBytes: number): Generator<Buffer, void, undefined> {
    let sent = 0;
    let from = 0;
    while (sent < totalBytes) {
      const wanted = from + Math.min(CHUNK_BYTES, totalBytes - sent) - 1;
      const newline = this.bytes.indexOf(NEWLINE, Math.min(wanted, this.bytes.length - 1));
      const end = newline + 1;
      yield this.bytes.subarray(from, end);
      sent += end - from;
      from = end === this.bytes.length ? 0 : end;
    }
  }
}

/** The lines of a chunk that ends with a newline, each with its newline. */
export function* linesOf(chunk: Buffer): Generator<Buffer, void, undefined> {
  for (let from = 0; from < chunk.length; ) {
    const end = chunk.indexOf(NEWLINE, from) + 1;
    if (end === 0) throw new Error('a chunk ended in the middle of a line');
    yield chunk.subarray(from, end);
    from = end;
  }
}

/** By name, so that every run sends the same. */
function filesOf(folder: string): string[] {
  const entries = fs.readdirSync(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile() && EXTENSIONS.test(entry.name))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
}

function endedByNewline(content: Buffer): Buffer {
  return content.at(-1) === NEWLINE ? content : Buffer.concat([content, Buffer.from('\n')]);
}

function longestLine(content: Buffer): number {
  let longest = 0;
  for (let from = 0; from < content.length; ) {
    const newline = content.indexOf(NEWLINE, from);
    const end = newline === -1 ? content.length : newline;
    longest = Math.max(longest, end - from);
    from = end + 1;
  }
  return longest;
}
