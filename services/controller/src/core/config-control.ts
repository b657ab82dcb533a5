/**
 * Dynamic configuration of topics and brokers. The changes to one resource stand or fall together;
 * resources stand or fall alone.
 *
 * Errors, each for its resource: INVALID_REQUEST (a resource or a key twice, an unknown kind),
 * UNKNOWN_TOPIC_OR_PARTITION, BROKER_ID_NOT_REGISTERED, INVALID_CONFIG (an unknown key, with the
 * nearest known one; a value that is not allowed; APPEND and SUBTRACT on what is no list).
 */
import { checkedConfigValue, describeConfigKey } from '@barnabas/metadata';
import type { ConfigResource, ConfiguredBroker, MetadataImage } from '@barnabas/metadata';
import { BarnabasError, internal, v1 } from '@barnabas/protocol';
import { planConfigChange } from './config-effects.js';
import { Plan, answer, refusal } from './decision.js';
import type { Decision } from './decision.js';
import { MAX_CONFIG_RESOURCES_PER_REQUEST, MAX_CONFIG_VALUE_LENGTH } from './limits.js';

type Results = v1.IncrementalAlterConfigsResult[];

export function alterConfigs(
  image: MetadataImage,
  request: v1.IncrementalAlterConfigsRequest,
  defaults: ConfiguredBroker,
): Decision<Results> {
  if (request.resources.length > MAX_CONFIG_RESOURCES_PER_REQUEST) {
    throw new BarnabasError(
      'INVALID_REQUEST',
      `at most ${MAX_CONFIG_RESOURCES_PER_REQUEST} resources can be changed in one request`,
    );
  }
  const plan = new Plan(image);
  const counts = new Map<string, number>();
  for (const { resource } of request.resources) counts.set(idOf(resource), (counts.get(idOf(resource)) ?? 0) + 1);
  const results = request.resources.map(({ resource, ops }): v1.IncrementalAlterConfigsResult => {
    try {
      if ((counts.get(idOf(resource)) ?? 0) > 1) {
        throw new BarnabasError('INVALID_REQUEST', 'the request names this resource more than once');
      }
      const changed = existing(plan.image, resource);
      planConfigChange(plan, changed, recordsFor(plan.image, changed, ops), defaults);
      return { resource, error: undefined };
    } catch (error) {
      return { resource, error: refusal(error) };
    }
  });
  return request.validateOnly ? answer(results) : plan.decide(results);
}

/** Records that give a topic that is being created its configuration. */
export function initialTopicConfig(
  topic: string,
  configs: Readonly<Record<string, string>>,
): internal.MetadataRecord[] {
  return Object.entries(configs).map(([key, value]) =>
    configRecord({ type: 'topic', name: topic }, key, checkedValue('topic', key, value)),
  );
}

function idOf(resource: v1.ConfigResource | undefined): string {
  return `${resource?.type ?? 0}/${resource?.name ?? ''}`;
}

function existing(image: MetadataImage, resource: v1.ConfigResource | undefined): ConfigResource {
  switch (resource?.type) {
    case v1.ConfigResourceType.TOPIC:
      if (image.topics.named(resource.name) !== undefined) return { type: 'topic', name: resource.name };
      throw new BarnabasError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${JSON.stringify(resource.name)} does not exist`);
    case v1.ConfigResourceType.BROKER:
      if (isKnownBroker(image, resource.name)) return { type: 'broker', name: resource.name };
      throw new BarnabasError('BROKER_ID_NOT_REGISTERED', `there is no broker ${JSON.stringify(resource.name)}`);
    case v1.ConfigResourceType.UNSPECIFIED:
    case undefined:
    default:
      throw new BarnabasError('INVALID_REQUEST', 'the type of a configuration resource must be TOPIC or BROKER');
  }
}

function isKnownBroker(image: MetadataImage, name: string): boolean {
  return name === '' || (/^(0|[1-9]\d*)$/.test(name) && image.brokers.has(Number(name)));
}

function recordsFor(
  image: MetadataImage,
  resource: ConfigResource,
  ops: readonly v1.AlterConfigOp[],
): internal.MetadataRecord[] {
  const current = image.configs.of(resource);
  const seen = new Set<string>();
  const records: internal.MetadataRecord[] = [];
  for (const op of ops) {
    if (seen.has(op.key)) throw new BarnabasError('INVALID_REQUEST', `the request changes ${op.key} more than once`);
    seen.add(op.key);
    const value = valueAfter(resource.type, op, current.get(op.key));
    if (value !== current.get(op.key)) records.push(configRecord(resource, op.key, value));
  }
  return records;
}

/** Undefined: back to the default. */
function valueAfter(
  kind: ConfigResource['type'],
  op: v1.AlterConfigOp,
  current: string | undefined,
): string | undefined {
  switch (op.type) {
    case v1.AlterConfigOpType.UNSPECIFIED:
    case v1.AlterConfigOpType.SET:
      return checkedValue(kind, op.key, op.value);
    case v1.AlterConfigOpType.DELETE:
      // Also for keys that this version does not know any more: what is set can be taken away.
      if (current === undefined) describeConfigKey(kind, op.key);
      return undefined;
    case v1.AlterConfigOpType.APPEND: {
      const elements = listOf(kind, op.key, current);
      const added = split(op.value).filter((element) => !elements.includes(element));
      return checkedValue(kind, op.key, [...elements, ...added].join(','));
    }
    case v1.AlterConfigOpType.SUBTRACT: {
      const gone = new Set(split(op.value));
      const left = listOf(kind, op.key, current).filter((element) => !gone.has(element));
      return checkedValue(kind, op.key, left.join(','));
    }
    default:
      throw new BarnabasError('INVALID_REQUEST', `${op.key}: the kind of change is not known`);
  }
}

/** The value as it is stored; throws INVALID_CONFIG. */
function checkedValue(kind: ConfigResource['type'], key: string, value: string): string {
  if (value.length > MAX_CONFIG_VALUE_LENGTH) {
    throw new BarnabasError(
      'INVALID_CONFIG',
      `configuration key ${key} must have at most ${MAX_CONFIG_VALUE_LENGTH} characters`,
    );
  }
  return checkedConfigValue(kind, key, value);
}

function listOf(kind: ConfigResource['type'], key: string, current: string | undefined): string[] {
  const { type, defaultValue } = describeConfigKey(kind, key);
  if (type !== 'LIST') {
    throw new BarnabasError(
      'INVALID_CONFIG',
      `configuration key ${key} is no list: use SET instead of APPEND or SUBTRACT`,
    );
  }
  return split(current ?? defaultValue ?? '');
}

function split(text: string): string[] {
  return text
    .split(',')
    .map((element) => element.trim())
    .filter((element) => element !== '');
}

function configRecord({ type, name }: ConfigResource, key: string, value: string | undefined): internal.MetadataRecord {
  const kinds = internal.ConfigRecordResourceType;
  const resourceType = type === 'topic' ? kinds.TOPIC : kinds.BROKER;
  return {
    record: {
      $case: 'config',
      config: { resourceType, resourceName: name, key, ...(value === undefined ? {} : { value }) },
    },
  };
}
