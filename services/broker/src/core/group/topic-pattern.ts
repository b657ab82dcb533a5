/**
 * Patterns of topic names, matched in time linear in the name: no pattern that a client sends can
 * hold a coordinator up. JavaScript's own expressions backtrack and may take for ever, so this is a
 * small engine of its own: parsed to a tree, compiled to a nondeterministic automaton and that to a
 * deterministic one, within a budget of work. A match is then one look into a table for each character.
 *
 * The language is the part of RE2 that topic names can need: literals, `.`, classes `[a-z]` `[^…]`,
 * `\d \D \w \W \s \S`, escaped characters, groups `(…)` and `(?:…)`, `|`, and the quantifiers
 * `* + ? {n} {n,} {n,m}` (also lazy, which means the same here). A pattern matches whole names; `^` at
 * its beginning and `$` at its end are allowed and change nothing. No look-around, no back-references:
 * INVALID_REGULAR_EXPRESSION says where and why.
 */
import { BarnabasError } from '@barnabas/protocol';

const MAX_PATTERN_LENGTH = 1_000;
/** Counted repetition copies what it repeats; this bounds the product. */
const MAX_AUTOMATON_STATES = 10_000;
const MAX_REPETITIONS = 1_000;
const MAX_DEPTH = 100;
/** Steps that making the deterministic automaton may take: some 50 ms. Sensible patterns take thousands. */
const MAX_WORK = 1_000_000;
/** Topic names are ASCII. */
const CHARACTERS = 128;

type CharacterSet = ReadonlySet<number>;

type Node =
  | { readonly kind: 'empty' }
  | { readonly kind: 'set'; readonly characters: CharacterSet }
  | { readonly kind: 'sequence'; readonly parts: readonly Node[] }
  | { readonly kind: 'choice'; readonly options: readonly Node[] }
  | { readonly kind: 'repeat'; readonly part: Node; readonly min: number; readonly max: number };

export class TopicPattern {
  readonly #table: readonly DeterministicState[];

  /** Throws INVALID_REGULAR_EXPRESSION. */
  constructor(readonly source: string) {
    this.#table = determinize(new Automaton(new Parser(source).parse(), source), source);
  }

  /** Whether the whole name matches. */
  matches(name: string): boolean {
    let state = this.#table[0];
    for (let index = 0; index < name.length && state !== undefined; index++) {
      const next = state.next[name.charCodeAt(index)];
      state = next === undefined ? undefined : this.#table[next];
    }
    return state?.accepts === true;
  }
}

interface DeterministicState {
  readonly accepts: boolean;
  /** By character: the state after it; undefined where nothing can match any more. */
  readonly next: readonly (number | undefined)[];
}

/** All states at once, so that a pattern is refused when it comes and not when a topic is created. */
function determinize(automaton: Automaton, source: string): DeterministicState[] {
  let work = 0;
  const spend = (units: number): void => {
    work += units;
    if (work > MAX_WORK) throw invalid(source, 'it has too many ways to match: make it simpler');
  };
  const ids = new Map<string, number>();
  const sets: (readonly number[])[] = [];
  const idOf = (members: readonly number[]): number => {
    spend(members.length);
    const key = members.join(',');
    const known = ids.get(key);
    if (known !== undefined) return known;
    ids.set(key, sets.length);
    return sets.push(members) - 1;
  };
  idOf(automaton.closure([automaton.start]));
  const table: DeterministicState[] = [];
  for (let id = 0; id < sets.length; id++) {
    const members = sets[id] ?? [];
    const targets = new Map<number, number[]>();
    for (const member of members) {
      const edge = automaton.edges[member];
      if (edge?.characters === undefined) continue;
      spend(edge.characters.size);
      for (const code of edge.characters) targets.set(code, [...(targets.get(code) ?? []), ...edge.to]);
    }
    const next: (number | undefined)[] = [];
    const byTargets = new Map<string, number>();
    for (const [code, to] of targets) {
      const key = to.join(',');
      const known = byTargets.get(key) ?? idOf(automaton.closure(to));
      byTargets.set(key, known);
      next[code] = known;
    }
    table.push({ accepts: members.includes(automaton.end), next });
  }
  return table;
}

interface Edge {
  /** Undefined: taken without a character. */
  readonly characters: CharacterSet | undefined;
  readonly to: number[];
}

/** Thompson's construction: one edge set for each state, with a character or without. */
class Automaton {
  readonly edges: Edge[] = [];
  readonly start: number;
  readonly end: number;

  constructor(
    tree: Node,
    private readonly source: string,
  ) {
    this.end = this.#state(undefined, []);
    this.start = this.#build(tree, this.end);
  }

  /** Everything reachable without a character, ascending. */
  closure(states: readonly number[]): number[] {
    const reached = new Set<number>();
    const open = [...states];
    for (let state = open.pop(); state !== undefined; state = open.pop()) {
      if (reached.has(state)) continue;
      reached.add(state);
      const edge = this.edges[state];
      if (edge !== undefined && edge.characters === undefined) open.push(...edge.to);
    }
    return [...reached].sort((one, other) => one - other);
  }

  #state(characters: CharacterSet | undefined, to: number[]): number {
    if (this.edges.length >= MAX_AUTOMATON_STATES) {
      throw invalid(this.source, `it needs more than ${MAX_AUTOMATON_STATES} states: repeat less`);
    }
    this.edges.push({ characters, to });
    return this.edges.length - 1;
  }

  /** A state from which `node` and then `next` is matched. */
  #build(node: Node, next: number): number {
    switch (node.kind) {
      case 'empty':
        return next;
      case 'set':
        return this.#state(node.characters, [next]);
      case 'sequence':
        return node.parts.reduceRight((after, part) => this.#build(part, after), next);
      case 'choice':
        return this.#state(
          undefined,
          node.options.map((option) => this.#build(option, next)),
        );
      case 'repeat':
        return this.#repeat(node, next);
    }
  }

  #repeat({ part, min, max }: Extract<Node, { kind: 'repeat' }>, next: number): number {
    let after = next;
    if (max === Infinity) {
      const loop = this.#state(undefined, [next]);
      this.edges[loop]?.to.push(this.#build(part, loop));
      after = loop;
    } else {
      for (let count = min; count < max; count++) after = this.#state(undefined, [next, this.#build(part, after)]);
    }
    for (let count = 0; count < min; count++) after = this.#build(part, after);
    return after;
  }
}

class Parser {
  #at = 0;
  #depth = 0;

  constructor(private readonly source: string) {
    if (source.length > MAX_PATTERN_LENGTH) {
      throw invalid(source.slice(0, 40), `it has more than ${MAX_PATTERN_LENGTH} characters`);
    }
    if (source === '') throw invalid(source, 'it is empty');
  }

  parse(): Node {
    if (this.#peek() === '^') this.#at++;
    const tree = this.#choice();
    if (this.#at < this.source.length) throw this.#unexpected();
    return tree;
  }

  #choice(): Node {
    if (++this.#depth > MAX_DEPTH) throw invalid(this.source, `its groups are nested deeper than ${MAX_DEPTH}`);
    const options = [this.#sequence()];
    while (this.#peek() === '|') {
      this.#at++;
      options.push(this.#sequence());
    }
    this.#depth--;
    const [only] = options;
    return options.length === 1 && only !== undefined ? only : { kind: 'choice', options };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    for (let next = this.#peek(); next !== undefined && next !== '|' && next !== ')'; next = this.#peek()) {
      if (next === '$' && this.#at === this.source.length - 1) {
        this.#at++;
        break;
      }
      parts.push(this.#quantified(this.#atom()));
    }
    return parts.length === 0 ? { kind: 'empty' } : { kind: 'sequence', parts };
  }

  #atom(): Node {
    const next = this.source.charAt(this.#at++);
    switch (next) {
      case '(':
        return this.#group();
      case '[':
        return { kind: 'set', characters: this.#class() };
      case '.':
        return { kind: 'set', characters: ANY };
      case '\\':
        return { kind: 'set', characters: this.#escape() };
      case '*':
      case '+':
      case '?':
      case '{':
      case '^':
      case '$':
      case ']':
      case '}':
        this.#at--;
        throw this.#unexpected();
      default:
        return { kind: 'set', characters: new Set([next.charCodeAt(0)]) };
    }
  }

  #group(): Node {
    if (this.source.startsWith('?:', this.#at)) this.#at += 2;
    else if (this.#peek() === '?') throw invalid(this.source, `(?${this.source.charAt(this.#at + 1)} is not supported`);
    const inside = this.#choice();
    if (this.#peek() !== ')') throw invalid(this.source, 'a group is not closed');
    this.#at++;
    return inside;
  }

  #quantified(part: Node): Node {
    let node = part;
    for (let bounds = this.#quantifier(); bounds !== undefined; bounds = this.#quantifier()) {
      node = { kind: 'repeat', part: node, ...bounds };
      if (this.#peek() === '?') this.#at++;
      if (['*', '+', '{'].includes(this.#peek() ?? '')) throw this.#unexpected();
      break;
    }
    return node;
  }

  #quantifier(): { readonly min: number; readonly max: number } | undefined {
    switch (this.#peek()) {
      case '*':
        this.#at++;
        return { min: 0, max: Infinity };
      case '+':
        this.#at++;
        return { min: 1, max: Infinity };
      case '?':
        this.#at++;
        return { min: 0, max: 1 };
      case '{':
        return this.#counted();
      case undefined:
      default:
        return undefined;
    }
  }

  #counted(): { readonly min: number; readonly max: number } {
    const found = /^\{(\d{1,4})(?:(,)(\d{0,4}))?\}/.exec(this.source.slice(this.#at));
    if (found === null) throw this.#unexpected();
    this.#at += found[0].length;
    const min = Number(found[1]);
    const upper = found[2] === undefined ? min : found[3] === '' ? Infinity : Number(found[3]);
    if (upper < min) throw invalid(this.source, `${found[0]} ends before it begins`);
    if (Math.max(min, upper === Infinity ? 0 : upper) > MAX_REPETITIONS) {
      throw invalid(this.source, `${found[0]} repeats more than ${MAX_REPETITIONS} times`);
    }
    return { min, max: upper };
  }

  #class(): CharacterSet {
    const isNegated = this.#peek() === '^';
    if (isNegated) this.#at++;
    const characters = new Set<number>();
    for (let isFirst = true; isFirst || this.#peek() !== ']'; isFirst = false) this.#classItem(characters);
    this.#at++;
    return isNegated ? complement(characters) : characters;
  }

  #classItem(characters: Set<number>): void {
    const from = this.#classCharacter();
    if (typeof from !== 'number') {
      for (const code of from) characters.add(code);
      return;
    }
    const isRange = this.#peek() === '-' && this.source.charAt(this.#at + 1) !== ']';
    if (!isRange) {
      characters.add(from);
      return;
    }
    this.#at++;
    const to = this.#classCharacter();
    if (typeof to !== 'number' || to < from) throw invalid(this.source, 'a range of characters ends before it begins');
    for (let code = from; code <= Math.min(to, CHARACTERS - 1); code++) characters.add(code);
  }

  #classCharacter(): number | CharacterSet {
    const next = this.source.charAt(this.#at++);
    if (next === '') throw invalid(this.source, 'a class of characters is not closed');
    if (next === '[' && this.#peek() === ':') throw invalid(this.source, '[: :] is not supported');
    if (next !== '\\') return next.charCodeAt(0);
    const escaped = this.#escape();
    const [only] = escaped;
    return escaped.size === 1 && only !== undefined ? only : escaped;
  }

  #escape(): CharacterSet {
    const next = this.source.charAt(this.#at++);
    const known = ESCAPES.get(next);
    if (known !== undefined) return known;
    // Letters and digits are kept for meanings that this engine does not have (\b, \1, \p{…}).
    if (next === '' || /[a-zA-Z0-9]/.test(next)) throw invalid(this.source, `\\${next} is not supported`);
    return new Set([next.charCodeAt(0)]);
  }

  #peek(): string | undefined {
    return this.#at < this.source.length ? this.source.charAt(this.#at) : undefined;
  }

  #unexpected(): BarnabasError {
    const what = this.#peek();
    return invalid(
      this.source,
      what === undefined
        ? 'it ends too early'
        : `${JSON.stringify(what)} at position ${this.#at} has no meaning there: escape it with a backslash`,
    );
  }
}

function codes(characters: string): CharacterSet {
  return new Set(Array.from(characters, (character) => character.charCodeAt(0)));
}

function complement(characters: CharacterSet): CharacterSet {
  const rest = new Set<number>();
  for (let code = 0; code < CHARACTERS; code++) if (!characters.has(code)) rest.add(code);
  return rest;
}

const ANY = complement(codes('\n'));
const DIGITS = codes('0123456789');
const WORD = codes('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_');
const SPACE = codes(' \t\n\f\r');
const ESCAPES: ReadonlyMap<string, CharacterSet> = new Map([
  ['d', DIGITS],
  ['D', complement(DIGITS)],
  ['w', WORD],
  ['W', complement(WORD)],
  ['s', SPACE],
  ['S', complement(SPACE)],
]);

function invalid(source: string, why: string): BarnabasError {
  return new BarnabasError(
    'INVALID_REGULAR_EXPRESSION',
    `the pattern ${JSON.stringify(source)} is not usable: ${why}`,
    {
      pattern: source,
    },
  );
}
