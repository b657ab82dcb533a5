/** Plans of reassignments as files, in the format of Kafka's kafka-reassign-partitions. */
import { z } from 'zod';
import { CliError } from '../errors.js';
import type { PartitionReplicas } from './planner.js';

const id = z
  .int()
  .min(0)
  .max(2 ** 31 - 1);
const planSchema = z.object({
  version: z.literal(1),
  partitions: z
    .array(
      z.object({
        topic: z.string().min(1),
        partition: id,
        replicas: z.array(id).min(1),
        // Kafka writes it; here a broker has one directory for logs.
        log_dirs: z.array(z.literal('any')).optional(),
      }),
    )
    .min(1),
});

export function formatPlan(partitions: readonly PartitionReplicas[]): string {
  return JSON.stringify({
    version: 1,
    partitions: partitions.map(({ topic, partition, replicas }) => ({ topic, partition, replicas })),
  });
}

/** `where` names the file in messages. */
export function parsePlan(text: string, where: string): readonly PartitionReplicas[] {
  const { partitions } = checked(text, where);
  const seen = new Set<string>();
  for (const { topic, partition, replicas } of partitions) {
    const name = `${topic}-${partition}`;
    if (seen.has(name)) throw bad(where, `${name} stands in it twice`);
    seen.add(name);
    if (new Set(replicas).size < replicas.length) throw bad(where, `${name} has a broker twice: ${replicas.join(',')}`);
  }
  return partitions.map(({ topic, partition, replicas }) => ({ topic, partition, replicas }));
}

function checked(text: string, where: string): z.infer<typeof planSchema> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw bad(where, `it is no JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  const parsed = planSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [first] = parsed.error.issues;
  throw bad(where, `at ${first?.path.join('.') || 'the top'}: ${first?.message ?? 'not understood'}`);
}

function bad(where: string, problem: string): CliError {
  const form = '{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1,2]}]}';
  return new CliError(`${where} is no plan: ${problem}; a plan is ${form}, as "barnabas reassign generate" prints it`);
}
