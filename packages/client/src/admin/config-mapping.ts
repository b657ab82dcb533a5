/** Configuration resources, entries and changes between the application's words and the wire's. */
import { v1 } from '@barnabas/protocol';
import type { AlterConfigOp, AlterConfigs, ConfigEntry, ConfigResource, ConfigSource } from './admin-types.js';

const TYPES: Readonly<Record<ConfigResource['type'], v1.ConfigResourceType>> = {
  topic: v1.ConfigResourceType.TOPIC,
  broker: v1.ConfigResourceType.BROKER,
};

const OPS: Readonly<Record<NonNullable<AlterConfigOp['op']>, v1.AlterConfigOpType>> = {
  set: v1.AlterConfigOpType.SET,
  delete: v1.AlterConfigOpType.DELETE,
  append: v1.AlterConfigOpType.APPEND,
  subtract: v1.AlterConfigOpType.SUBTRACT,
};

const SOURCES: ReadonlyMap<v1.ConfigSource, ConfigSource> = new Map([
  [v1.ConfigSource.DYNAMIC_TOPIC_CONFIG, 'DYNAMIC_TOPIC_CONFIG'],
  [v1.ConfigSource.DYNAMIC_BROKER_CONFIG, 'DYNAMIC_BROKER_CONFIG'],
  [v1.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, 'DYNAMIC_DEFAULT_BROKER_CONFIG'],
  [v1.ConfigSource.STATIC_BROKER_CONFIG, 'STATIC_BROKER_CONFIG'],
  [v1.ConfigSource.DEFAULT_CONFIG, 'DEFAULT_CONFIG'],
]);

export function toWireResource({ type, name }: ConfigResource): v1.ConfigResource {
  return { type: TYPES[type], name };
}

export function fromWireResource(resource: v1.ConfigResource | undefined): ConfigResource {
  const { type, name } = resource ?? { type: v1.ConfigResourceType.UNSPECIFIED, name: '' };
  return { type: type === v1.ConfigResourceType.BROKER ? 'broker' : 'topic', name };
}

export function fromWireEntry(entry: v1.ConfigEntry): ConfigEntry {
  return { ...entry, source: SOURCES.get(entry.source) ?? 'UNKNOWN' };
}

export function toWireAlteration({ resource, ops }: AlterConfigs): v1.AlterConfigsResource {
  return {
    resource: toWireResource(resource),
    ops: ops.map(({ key, op = 'set', value = '' }) => ({ key, type: OPS[op], value })),
  };
}
