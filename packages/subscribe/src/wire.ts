/**
 * GroupService as nodes serve it: the same on the wire, but an answer of Subscribe may be bytes already.
 * Records are encoded straight from batches (ConsumedRecordsEncoder); only a caller in the same process,
 * to whom messages go as they are, is given them decoded.
 */
import { v1 } from '@barnabas/protocol';
import type { MessageType } from '@barnabas/rpc';

/** A SubscribeResponse, encoded. */
export class EncodedResponse {
  constructor(readonly bytes: Buffer) {}

  decode(): v1.SubscribeResponse {
    return v1.SubscribeResponse.decode(this.bytes);
  }
}

export type SubscribeOutput = v1.SubscribeResponse | EncodedResponse;

const responseType: MessageType<SubscribeOutput> = {
  encode: (message) =>
    message instanceof EncodedResponse ? { finish: () => message.bytes } : v1.SubscribeResponse.encode(message),
  decode: (input) => v1.SubscribeResponse.decode(input),
};

const { methods } = v1.GroupServiceDefinition;

/** What a node registers its handlers for. */
export const ServedGroupService = {
  ...v1.GroupServiceDefinition,
  methods: { ...methods, subscribe: { ...methods.subscribe, responseType } },
} as const;
