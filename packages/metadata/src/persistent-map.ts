/**
 * An immutable map: `set` and `delete` return a new map that shares all but the changed path with
 * the old one. A hash array mapped trie, 32 ways a level; a change copies about log32(size) small
 * nodes, so an image of a hundred thousand topics changes one of them in a microsecond.
 *
 * Invariants:
 *   M1  a map once handed out never changes
 *   M2  no branch is empty
 *   M3  leaves whose hashes are equal form a chain, in no particular order
 * Iteration follows the hashes: the same keys give the same order in every process, apart from chains.
 */

type Key = string | number;

interface Leaf<K, V> {
  readonly kind: 'leaf';
  readonly hash: number;
  readonly key: K;
  readonly value: V;
  /** Another leaf of the same hash. */
  readonly next: Leaf<K, V> | undefined;
}

interface Branch<K, V> {
  readonly kind: 'branch';
  /** Bit i is set where a child stands at position i; children are dense, in order of position. */
  readonly bitmap: number;
  readonly children: readonly Node<K, V>[];
}

type Node<K, V> = Leaf<K, V> | Branch<K, V>;

const BITS = 5;
const MASK = 31;

export class PersistentMap<K extends Key, V> implements Iterable<readonly [K, V]> {
  static readonly #empty = new PersistentMap<never, never>(undefined, 0);

  static empty<K extends Key, V>(): PersistentMap<K, V> {
    return PersistentMap.#empty as unknown as PersistentMap<K, V>;
  }

  readonly #root: Node<K, V> | undefined;
  readonly size: number;

  private constructor(root: Node<K, V> | undefined, size: number) {
    this.#root = root;
    this.size = size;
  }

  get(key: K): V | undefined {
    return find(this.#root, hashOf(key), key)?.value;
  }

  has(key: K): boolean {
    return find(this.#root, hashOf(key), key) !== undefined;
  }

  /** The map with `key` at `value`; the map itself when it is there already. */
  set(key: K, value: V): PersistentMap<K, V> {
    const hash = hashOf(key);
    const present = find(this.#root, hash, key);
    if (present !== undefined && present.value === value) return this;
    const leaf: Leaf<K, V> = { kind: 'leaf', hash, key, value, next: undefined };
    const root = this.#root === undefined ? leaf : insert(this.#root, 0, leaf);
    return new PersistentMap(root, present === undefined ? this.size + 1 : this.size);
  }

  /** The map without `key`; the map itself when it is not there. */
  delete(key: K): PersistentMap<K, V> {
    const hash = hashOf(key);
    if (this.#root === undefined || find(this.#root, hash, key) === undefined) return this;
    return this.size === 1 ? PersistentMap.empty() : new PersistentMap(remove(this.#root, 0, hash, key), this.size - 1);
  }

  *entries(): IterableIterator<readonly [K, V]> {
    for (const leaf of leavesOf(this.#root)) yield [leaf.key, leaf.value];
  }

  *keys(): IterableIterator<K> {
    for (const leaf of leavesOf(this.#root)) yield leaf.key;
  }

  *values(): IterableIterator<V> {
    for (const leaf of leavesOf(this.#root)) yield leaf.value;
  }

  [Symbol.iterator](): IterableIterator<readonly [K, V]> {
    return this.entries();
  }
}

function hashOf(key: Key): number {
  if (typeof key === 'number') return mix(key | 0);
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  return mix(hash);
}

/** Spreads all bits over all positions (the finaliser of murmur3). */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function bitFor(hash: number, shift: number): number {
  return 1 << ((hash >>> shift) & MASK);
}

/** Position of `bit` among the children that `bitmap` says are there. */
function indexOf(bitmap: number, bit: number): number {
  let below = bitmap & (bit - 1);
  below -= (below >>> 1) & 0x55555555;
  below = (below & 0x33333333) + ((below >>> 2) & 0x33333333);
  return Math.imul((below + (below >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

function find<K, V>(root: Node<K, V> | undefined, hash: number, key: K): Leaf<K, V> | undefined {
  let node = root;
  for (let shift = 0; node?.kind === 'branch'; shift += BITS) {
    const bit = bitFor(hash, shift);
    node = (node.bitmap & bit) === 0 ? undefined : node.children[indexOf(node.bitmap, bit)];
  }
  for (let leaf = node; leaf !== undefined; leaf = leaf.next) if (leaf.key === key) return leaf;
  return undefined;
}

function insert<K, V>(node: Node<K, V>, shift: number, leaf: Leaf<K, V>): Node<K, V> {
  if (node.kind === 'leaf') {
    return node.hash === leaf.hash ? { ...leaf, next: unchain(node, leaf.key) } : fork(node, leaf, shift);
  }
  const bit = bitFor(leaf.hash, shift);
  const index = indexOf(node.bitmap, bit);
  const child = (node.bitmap & bit) === 0 ? undefined : node.children[index];
  if (child !== undefined) {
    return { ...node, children: node.children.with(index, insert(child, shift + BITS, leaf)) };
  }
  return { ...node, bitmap: node.bitmap | bit, children: node.children.toSpliced(index, 0, leaf) };
}

/** The smallest branch over two leaves of different hashes. */
function fork<K, V>(one: Leaf<K, V>, other: Leaf<K, V>, shift: number): Branch<K, V> {
  const oneBit = bitFor(one.hash, shift);
  const otherBit = bitFor(other.hash, shift);
  if (oneBit === otherBit) return { kind: 'branch', bitmap: oneBit, children: [fork(one, other, shift + BITS)] };
  const children = oneBit >>> 0 < otherBit >>> 0 ? [one, other] : [other, one];
  return { kind: 'branch', bitmap: oneBit | otherBit, children };
}

/** A chain without `key`. */
function unchain<K, V>(leaf: Leaf<K, V>, key: K): Leaf<K, V> | undefined {
  if (leaf.key === key) return leaf.next;
  return { ...leaf, next: leaf.next === undefined ? undefined : unchain(leaf.next, key) };
}

/** `node` without `key`, which it holds. */
function remove<K, V>(node: Node<K, V>, shift: number, hash: number, key: K): Node<K, V> | undefined {
  if (node.kind === 'leaf') return unchain(node, key);
  const bit = bitFor(hash, shift);
  const index = indexOf(node.bitmap, bit);
  const child = node.children[index];
  const rest = child === undefined ? undefined : remove(child, shift + BITS, hash, key);
  if (rest !== undefined) return { ...node, children: node.children.with(index, rest) };
  if (node.children.length === 1) return undefined;
  return { ...node, bitmap: node.bitmap & ~bit, children: node.children.toSpliced(index, 1) };
}

function* leavesOf<K, V>(node: Node<K, V> | undefined): IterableIterator<Leaf<K, V>> {
  if (node?.kind === 'branch') for (const child of node.children) yield* leavesOf(child);
  else for (let leaf = node; leaf !== undefined; leaf = leaf.next) yield leaf;
}
