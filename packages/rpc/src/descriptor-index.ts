/** Finds files in a FileDescriptorSet by their names and by the symbols they define. Files stay the bytes they are. */
import { Reader } from 'protobufjs/minimal.js';
import { FileDescriptorProto } from 'protobufjs/ext/descriptor/index.js';
import type { IDescriptorProto, IEnumDescriptorProto, IFileDescriptorProto } from 'protobufjs/ext/descriptor/index.js';

interface DescribedFile {
  readonly bytes: Uint8Array;
  readonly dependencies: readonly string[];
}

export class DescriptorIndex {
  constructor(
    private readonly files: ReadonlyMap<string, DescribedFile>,
    private readonly symbols: ReadonlyMap<string, string>,
  ) {}

  /** The name of the file that defines a message, field, enumeration, value, service or method by its full name. */
  fileOf(symbol: string): string | undefined {
    return this.symbols.get(symbol);
  }

  /** The file and all that it imports, each once, itself first; undefined for a file that is not there. */
  withDependencies(name: string | undefined): readonly Uint8Array[] | undefined {
    if (name === undefined || !this.files.has(name)) return undefined;
    const reached = new Set([name]);
    // A set visits what is added to it while it is walked.
    for (const each of reached) for (const next of this.files.get(each)?.dependencies ?? []) reached.add(next);
    return [...reached].flatMap((each) => this.files.get(each)?.bytes ?? []);
  }
}

/** FileDescriptorSet { repeated FileDescriptorProto file = 1 } */
export function indexDescriptors(set: Uint8Array): DescriptorIndex {
  const files = new Map<string, DescribedFile>();
  const symbols = new Map<string, string>();
  const reader = Reader.create(set);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag !== 10) {
      reader.skipType(tag & 7);
      continue;
    }
    const bytes = reader.bytes();
    const file = FileDescriptorProto.decode(bytes) as IFileDescriptorProto;
    const name = file.name ?? '';
    files.set(name, { bytes, dependencies: file.dependency ?? [] });
    for (const symbol of symbolsOf(file)) symbols.set(symbol, name);
  }
  return new DescriptorIndex(files, symbols);
}

function* symbolsOf(file: IFileDescriptorProto): Generator<string> {
  const scope = file.package ?? '';
  for (const message of file.messageType ?? []) yield* messageSymbols(scope, message);
  for (const enumeration of file.enumType ?? []) yield* enumSymbols(scope, enumeration);
  for (const service of file.service ?? []) {
    const name = join(scope, service.name);
    yield name;
    for (const method of service.method ?? []) yield join(name, method.name);
  }
}

function* messageSymbols(scope: string, message: IDescriptorProto): Generator<string> {
  const name = join(scope, message.name);
  yield name;
  for (const field of message.field ?? []) yield join(name, field.name);
  for (const nested of message.nestedType ?? []) yield* messageSymbols(name, nested);
  for (const enumeration of message.enumType ?? []) yield* enumSymbols(name, enumeration);
}

/** Values are siblings of their enumeration, as in C++. */
function* enumSymbols(scope: string, enumeration: IEnumDescriptorProto): Generator<string> {
  yield join(scope, enumeration.name);
  for (const value of enumeration.value ?? []) yield join(scope, value.name);
}

function join(scope: string, name: string | undefined): string {
  return scope === '' ? (name ?? '') : `${scope}.${name ?? ''}`;
}
