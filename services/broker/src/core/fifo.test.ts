import fc from 'fast-check';
import { Fifo } from './fifo.js';

it('behaves like an array that remembers how much has left it', () => {
  const operation = fc.oneof(
    { weight: 3, arbitrary: fc.nat() },
    { weight: 2, arbitrary: fc.constant('shift' as const) },
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 500 }), (operations) => {
      const fifo = new Fifo<number>();
      const model: number[] = [];
      let left = 0;
      for (const next of operations) {
        if (next === 'shift') {
          const expected = model.shift();
          if (expected !== undefined) left += 1;
          expect(fifo.shift()).toBe(expected);
        } else {
          model.push(next);
          fifo.push(next);
        }
        expect([fifo.length, fifo.headSequence, fifo.peek(), fifo.last()]).toEqual([
          model.length,
          left,
          model[0],
          model.at(-1),
        ]);
      }
      expect(model.map((_, index) => fifo.at(left + index))).toEqual(model);
      expect(fifo.drain()).toEqual(model);
    }),
    { numRuns: 50 },
  );
});
