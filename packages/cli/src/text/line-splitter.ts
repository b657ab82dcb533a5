/**
 * Cuts a stream of chunks into lines without decoding them: a line is any bytes, ended by a newline
 * or by the end of input. How the input is chunked makes no difference.
 *
 * A line within one chunk is a view of that chunk, so a chunk must not be reused by its giver.
 */

const NEWLINE = 0x0a;

/** A line grew past the limit before its newline came. */
export class LineTooLongError extends Error {
  override readonly name = 'LineTooLongError';
  constructor(
    readonly lineNumber: number,
    readonly maxLineBytes: number,
  ) {
    super(`line ${lineNumber} is longer than ${maxLineBytes} bytes`);
  }
}

export class LineSplitter {
  readonly #maxLineBytes: number;
  /** The beginning of a line whose newline has not come yet, in pieces. */
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  #lines = 0;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** Lines given out so far. */
  get lines(): number {
    return this.#lines;
  }

  /** The lines that end in this chunk. Must be iterated to its end before the next call. */
  *push(chunk: Buffer): Generator<Buffer, void, undefined> {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      const line = chunk.subarray(from, end);
      from = end + 1;
      yield this.#complete(line);
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
  }

  /** The last line, if the input did not end with a newline. */
  end(): Buffer | undefined {
    return this.#pieceBytes === 0 ? undefined : this.#complete(Buffer.alloc(0));
  }

  #keep(piece: Buffer): void {
    this.#check(this.#pieceBytes + piece.length);
    this.#pieces.push(piece);
    this.#pieceBytes += piece.length;
  }

  #complete(tail: Buffer): Buffer {
    this.#check(this.#pieceBytes + tail.length);
    this.#lines += 1;
    if (this.#pieceBytes === 0) return tail;
    const line = Buffer.concat([...this.#pieces, tail], this.#pieceBytes + tail.length);
    this.#pieces = [];
    this.#pieceBytes = 0;
    return line;
  }

  #check(bytes: number): void {
    if (bytes > this.#maxLineBytes) throw new LineTooLongError(this.#lines + 1, this.#maxLineBytes);
  }
}
