/**
 * The clients of examples/clients, generated from proto/ and built here and now, as programs that can be
 * started. What is built is kept in node_modules/.cache, under a hash of what it was made from.
 *
 * Knows how each language is built; not what the programs do.
 */
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { repository } from './node-process.js';

const run = promisify(execFile);

export const LANGUAGES = ['python', 'go', 'typescript', 'java', 'rust', 'shell'] as const;
export type Language = (typeof LANGUAGES)[number];
/** Those that take minutes to build the first time. */
export const SLOW_TO_BUILD: readonly Language[] = ['java', 'rust'];

/** How a built example is started; the example's own arguments follow. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

interface Toolchain {
  /** Why it cannot be used here; undefined if it can. */
  readonly problem: () => string | undefined;
  /** Builds in the folder, which has a copy of the example. */
  readonly build: (folder: string) => Promise<void>;
  /** The program called `name` of what was built. */
  readonly program: (folder: string, name: string) => Program;
}

const examples = path.join(repository, 'examples', 'clients');
const cache = path.join(repository, 'node_modules', '.cache', 'barnabas-interop');
const proto = path.join(repository, 'proto');
const bin = (name: string) => path.join(repository, 'node_modules', '.bin', name);
const has = (command: string, ...args: string[]) => spawnSync(command, args).status === 0;
const needs = (what: string, command: string, ...args: string[]) =>
  has(command, ...args) ? undefined : `${what} is not installed`;

const GRPCURL = 'github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4';
const environment = path.join(cache, 'python-environment');
const python = path.join(environment, 'bin', 'python');

const TOOLCHAINS: Readonly<Record<Language, Toolchain>> = {
  python: {
    problem: () => needs('Python 3 with venv', 'python3', '-m', 'venv', '--help'),
    build: async (folder) => {
      if (!has(python, '-c', 'import grpc, grpc_tools')) {
        await run('python3', ['-m', 'venv', environment]);
        await run(python, ['-m', 'pip', 'install', '--quiet', 'grpcio', 'grpcio-tools']);
      }
      const protos = fs.readdirSync(path.join(proto, 'barnabas', 'v1')).map((name) => `barnabas/v1/${name}`);
      const outputs = [`--python_out=${folder}`, `--grpc_python_out=${folder}`];
      await run(python, ['-m', 'grpc_tools.protoc', '-I', '.', ...outputs, ...protos], { cwd: proto });
    },
    program: (folder, name) => ({
      command: python,
      args: [path.join(folder, `${name}.py`)],
      environment: { PYTHONPATH: folder },
    }),
  },
  go: {
    problem: () => needs('Go', 'go', 'version'),
    build: async (folder) => {
      const script = path.join(folder, 'generate.sh');
      fs.writeFileSync(script, fs.readFileSync(script, 'utf8').replace(/root=.*/, `root='${repository}'`));
      await run('sh', [script]);
      fs.mkdirSync(path.join(folder, 'bin'));
      await run('go', ['build', '-o', 'bin/', './...'], { cwd: folder });
    },
    program: (folder, name) => ({ command: path.join(folder, 'bin', name), args: [], environment: {} }),
  },
  typescript: {
    problem: () => undefined,
    build: async (folder) => {
      const options = ['--grpcLib=@grpc/grpc-js', '--longs=Number', '--enums=String', '--oneofs', '--defaults'];
      const file = 'barnabas/v1/group_service.proto';
      await run(bin('proto-loader-gen-types'), [...options, `--includeDirs=${proto}`, '--outDir=gen', file], {
        cwd: folder,
      });
      await run(bin('tsc'), ['-p', '.'], { cwd: folder });
    },
    program: (folder, name) => ({
      command: process.execPath,
      args: [path.join(folder, 'dist', `${name}.js`)],
      environment: { PROTO: proto },
    }),
  },
  java: {
    problem: () => needs('Java', 'javac', '-version') ?? needs('Maven', 'mvn', '-v'),
    build: async (folder) => {
      await run('mvn', ['-q', '-B', 'package', `-Dproto=${proto}`], { cwd: folder });
    },
    program: (folder, name) => ({
      command: 'java',
      args: ['-XX:+UseSerialGC', '-Xmx64m', '-jar', path.join(folder, 'target', `${name}.jar`)],
      environment: {},
    }),
  },
  rust: {
    problem: () => needs('Rust', 'cargo', '--version'),
    build: async (folder) => {
      const target = path.join(cache, 'rust-dependencies');
      await run('cargo', ['build', '--quiet'], {
        cwd: folder,
        env: { ...process.env, PROTO: proto, CARGO_TARGET_DIR: target },
      });
      fs.mkdirSync(path.join(folder, 'bin'));
      for (const file of fs.readdirSync(path.join(target, 'debug'), { withFileTypes: true })) {
        const source = path.join(target, 'debug', file.name);
        if (file.isFile() && !file.name.includes('.')) fs.copyFileSync(source, path.join(folder, 'bin', file.name));
      }
    },
    program: (folder, name) => ({ command: path.join(folder, 'bin', name), args: [], environment: {} }),
  },
  shell: {
    problem: () =>
      needs('bash', 'bash', '--version') ??
      needs('jq', 'jq', '--version') ??
      (has('grpcurl', '-version') || has('go', 'version')
        ? undefined
        : 'grpcurl is not installed, and no Go to build it'),
    build: async (folder) => {
      if (has('grpcurl', '-version')) return;
      await run('go', ['install', GRPCURL], { env: { ...process.env, GOBIN: path.join(folder, 'bin') } });
    },
    program: (folder, name) => ({
      command: 'bash',
      args: [path.join(folder, `${name}.sh`)],
      environment: { PATH: `${path.join(folder, 'bin')}:${process.env['PATH'] ?? ''}` },
    }),
  },
};

/** Why examples of the language cannot be run here; undefined if they can. */
export function whyNot(language: Language): string | undefined {
  return TOOLCHAINS[language].problem();
}

/** Whether it was built before, of the same sources. */
export function isBuilt(language: Language): boolean {
  return fs.existsSync(path.join(folderOf(language), DONE));
}

/** Builds what is not built yet, and tells how to start the example called `name`. */
export async function example(language: Language, name: string): Promise<Program> {
  const folder = folderOf(language);
  if (!isBuilt(language)) {
    fs.mkdirSync(cache, { recursive: true });
    for (const old of fs.readdirSync(cache)) {
      if (new RegExp(`^${language}-[0-9a-f]{12}$`).test(old)) fs.rmSync(path.join(cache, old), { recursive: true });
    }
    fs.cpSync(path.join(examples, language), folder, { recursive: true });
    await TOOLCHAINS[language].build(folder);
    fs.writeFileSync(path.join(folder, DONE), '');
  }
  return TOOLCHAINS[language].program(folder, name);
}

/** Tells that a build came to its end. */
const DONE = '.done';

function folderOf(language: Language): string {
  const hash = createHash('sha256');
  const recipe = path.join(repository, 'test', 'support', 'examples.ts');
  for (const root of [path.join(examples, language), proto, recipe]) addTo(hash, root);
  return path.join(cache, `${language}-${hash.digest('hex').slice(0, 12)}`);
}

function addTo(hash: ReturnType<typeof createHash>, file: string): void {
  if (!fs.statSync(file).isDirectory()) {
    hash.update(file).update(fs.readFileSync(file));
    return;
  }
  for (const name of fs.readdirSync(file).sort()) addTo(hash, path.join(file, name));
}
