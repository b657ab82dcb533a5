/** Single configuration values as they come from requests: checked, and in the one form that is stored. */
import { ConfigError, unknownKey } from '@barnabas/common/config';
import type { ConfigDefinition, ConfigKeys, KeyDescription } from '@barnabas/common/config';
import { BarnabasError } from '@barnabas/protocol';
import type { ConfigResource } from './image.js';
import { dynamicBrokerConfig, topicConfig } from './topic-config.js';

type Kind = ConfigResource['type'];

/** What a key of this kind of resource means; throws INVALID_CONFIG with the nearest known key. */
export function describeConfigKey(kind: Kind, key: string): KeyDescription {
  const definition = definitionOf(kind);
  const description = definition.describe().find((entry) => entry.key === key);
  if (description !== undefined) return description;
  throw new BarnabasError('INVALID_CONFIG', unknownKey(key, definition.names).text, { key });
}

/** The value as it is stored; throws INVALID_CONFIG. */
export function checkedConfigValue(kind: Kind, key: string, text: string): string {
  const definition = definitionOf(kind);
  try {
    const values: Readonly<Record<string, unknown>> = definition.parsePartial({ [key]: text });
    return definition.format(key, values[key]) ?? '';
  } catch (error) {
    throw asInvalidConfig(error);
  }
}

function definitionOf(kind: Kind): ConfigDefinition<ConfigKeys> {
  const definition = kind === 'topic' ? topicConfig : dynamicBrokerConfig;
  // Keys come from requests: here they are text, whichever table they belong to.
  return definition as unknown as ConfigDefinition<ConfigKeys>;
}

/** A ConfigError as the error that clients get; anything else as it is. */
export function asInvalidConfig(error: unknown): unknown {
  if (!(error instanceof ConfigError)) return error;
  return new BarnabasError('INVALID_CONFIG', error.message, { key: error.key }, { cause: error });
}
