// Produces the lines of standard input, keyed by their first word. How to run it: README.md.
import { createInterface } from 'node:readline';
import { BarnabasClient } from '@barnabas/client';
import type { BarnabasError } from '@barnabas/protocol';

const [topic = 'greetings', bootstrap = '127.0.0.1:7600'] = process.argv.slice(2);

async function main(): Promise<void> {
  const client = new BarnabasClient({ bootstrap, clientId: 'example-produce' });
  const producer = client.producer({ compressionType: 'zstd' });
  let sent = 0;
  let failed = 0;

  for await (const line of createInterface({ input: process.stdin })) {
    // Past buffer.memory a record would wait; a program that can hold back does.
    if (!producer.writable) await producer.drained();
    // No await here: records share batches, and the order holds all the same.
    producer.send({ topic, key: line.split(' ')[0] ?? null, value: line }).then(
      () => sent++,
      (error: BarnabasError) => {
        failed++;
        console.error(`${error.errorName}: ${error.message}`);
      },
    );
  }

  // Waits for every acknowledgement.
  await client.close();
  console.log(`${sent} records sent, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}

void main();
