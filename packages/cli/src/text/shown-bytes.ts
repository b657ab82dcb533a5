/** Bytes in text for people and for JSON: as text where they are UTF-8, in another form where not. */

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function asText(value: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(value);
  } catch {
    return undefined;
  }
}

/** Quoted text, `0x…`, or `null`. */
export function shownBytes(value: Uint8Array | null): string {
  if (value === null) return 'null';
  const text = asText(value);
  return text === undefined ? `0x${bufferOf(value).toString('hex')}` : JSON.stringify(text);
}

/** `{key: 'text'}` where the bytes are UTF-8, `{keyBase64: '…'}` where not, `{key: null}` for null. */
export function jsonBytes(name: string, value: Uint8Array | null): Record<string, string | null> {
  if (value === null) return { [name]: null };
  const text = asText(value);
  return text === undefined ? { [`${name}Base64`]: bufferOf(value).toString('base64') } : { [name]: text };
}

function bufferOf(value: Uint8Array): Buffer {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
