import fc from 'fast-check';
import { PersistentMap } from './persistent-map.js';

type Step = { readonly key: number; readonly value: number | undefined };

/** 2^32 apart numbers have one hash, so that chains are met often. */
const keys = fc.tuple(fc.nat(20), fc.nat(2)).map(([low, high]) => low + high * 2 ** 32);
const steps = fc.array(
  fc.record({ key: keys, value: fc.option(fc.nat(3), { nil: undefined }) }) satisfies fc.Arbitrary<Step>,
  { maxLength: 200, size: 'max' },
);

test('behaves as a Map, and every map handed out stays as it was', () => {
  fc.assert(
    fc.property(steps, (run) => {
      let map = PersistentMap.empty<number, number>();
      const model = new Map<number, number>();
      const history: { readonly map: PersistentMap<number, number>; readonly model: Map<number, number> }[] = [];
      for (const [step, { key, value }] of run.entries()) {
        if (step % 20 === 0) history.push({ map, model: new Map(model) });
        if (value === undefined) model.delete(key);
        else model.set(key, value);
        map = value === undefined ? map.delete(key) : map.set(key, value);
        expect(map.get(key)).toBe(value);
      }
      for (const past of [...history, { map, model }]) {
        expect(past.map.size).toBe(past.model.size);
        expect(new Map(past.map)).toEqual(past.model);
        expect([...model.keys()].filter((key) => past.map.get(key) !== past.model.get(key))).toEqual([]);
      }
    }),
  );
});

test('the same keys come in the same order, whatever happened before', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { maxLength: 60, size: 'max' }), fc.string(), (names, other) => {
      const add = (map: PersistentMap<string, number>, list: readonly string[]) =>
        list.reduce((sum, name) => sum.set(name, 1), map);
      const one = add(PersistentMap.empty(), names);
      const detour = add(PersistentMap.empty<string, number>().set(other, 2), names.toReversed());
      const two = names.includes(other) ? detour.set(other, 1) : detour.delete(other);
      expect([...two.keys()]).toEqual([...one.keys()]);
    }),
  );
});

test('what changes nothing gives the map itself', () => {
  const map = PersistentMap.empty<string, number>().set('a', 1).set('b', 2);
  expect(map.set('a', 1)).toBe(map);
  expect(map.delete('c')).toBe(map);
  expect(PersistentMap.empty().delete('c')).toBe(PersistentMap.empty());
  expect(map.delete('a').delete('b')).toBe(PersistentMap.empty());
});
