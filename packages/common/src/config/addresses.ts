/**
 * Network addresses in configuration, in Kafka's forms: `host:port`, listeners
 * `CLIENT://host:port,…`, quorum voters `1@host:port,…`. An IPv6 host stands in brackets.
 */
import { custom, integer } from './types.js';
import type { ConfigType } from './types.js';

export interface Address {
  /** A name or an address, without brackets; empty only for a listener on every interface. */
  readonly host: string;
  readonly port: number;
}

export interface Listener extends Address {
  /** Upper case. */
  readonly name: string;
}

export interface QuorumVoter extends Address {
  readonly id: number;
}

const HOST = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?\.?$/;
const IPV6 = /^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9_.-]+)?$/;
const MAX_PORT = 65_535;
const MAX_ID = 2 ** 31 - 1;

/** `host:port`; undefined if it is not. An empty host is left to the caller to judge. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text.trim());
  if (match === null) return undefined;
  const [, bracketed, plain = '', digits] = match;
  const port = Number(digits);
  if (port > MAX_PORT) return undefined;
  if (bracketed !== undefined) return IPV6.test(bracketed) ? { host: bracketed, port } : undefined;
  return plain === '' || HOST.test(plain) ? { host: plain, port } : undefined;
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A port; 0 asks the system for a free one. */
export function port(): ConfigType<number> {
  return { ...integer({ min: 0, max: MAX_PORT }), allowed: `a port from 0 to ${MAX_PORT}; 0 asks for a free one` };
}

/** `host:port` of another machine: neither part may be left open. */
export function address(): ConfigType<Address> {
  return custom({
    allowed: 'an address as host:port',
    read: (text) => reachable(parseAddress(text)),
    write: formatAddress,
  });
}

function reachable(value: Address | undefined): Address | undefined {
  return value === undefined || value.host === '' || value.port === 0 ? undefined : value;
}

/** Splits a comma-separated text and reads every part; undefined if one of them is refused or there is none. */
function readAll<T>(text: string, read: (part: string) => T | undefined): readonly T[] | undefined {
  const values = text.split(',').map((part) => read(part.trim()));
  return values.some((value) => value === undefined) ? undefined : (values as readonly T[]);
}

function readListener(text: string): Listener | undefined {
  const match = /^([A-Za-z][A-Za-z0-9_]*):\/\/(.*)$/.exec(text);
  if (match === null) return undefined;
  const [, name = '', rest = ''] = match;
  const bound = parseAddress(rest);
  return bound === undefined ? undefined : { name: name.toUpperCase(), ...bound };
}

/** Listener names must differ, and so must their addresses, except where the system picks the port. */
function distinctListeners(values: readonly Listener[] | undefined): readonly Listener[] | undefined {
  if (values === undefined) return undefined;
  const fixed = values.filter((value) => value.port !== 0).map(formatAddress);
  const distinct =
    new Set(values.map((value) => value.name)).size === values.length && new Set(fixed).size === fixed.length;
  return distinct ? values : undefined;
}

const formatListener = (listener: Listener) => `${listener.name}://${formatAddress(listener)}`;

/** Machines of which any will do: `host:port,host:port`. */
export function addresses(): ConfigType<readonly Address[]> {
  return custom({
    name: 'LIST',
    allowed: 'a comma-separated list of different addresses as host:port',
    read: (text) => distinctAddresses(readAll(text, (part) => reachable(parseAddress(part)))),
    write: (values) => values.map(formatAddress).join(','),
  });
}

function distinctAddresses(values: readonly Address[] | undefined): readonly Address[] | undefined {
  return values === undefined || new Set(values.map(formatAddress)).size === values.length ? values : undefined;
}

/** Where a node listens: `CLIENT://127.0.0.1:7700`. An empty host means every interface, port 0 a free one. */
export function listeners(): ConfigType<readonly Listener[]> {
  return custom({
    name: 'LIST',
    allowed: 'a comma-separated list of NAME://host:port with different names and addresses',
    read: (text) => distinctListeners(readAll(text, readListener)),
    write: (values) => values.map(formatListener).join(','),
  });
}

/** What a node tells others to connect to: like listeners, but every host and port is given. */
export function advertisedListeners(): ConfigType<readonly Listener[]> {
  const bound = listeners();
  const complete = (values: readonly Listener[] | undefined) =>
    values?.every((value) => reachable(value) !== undefined) === true ? values : undefined;
  return custom({
    name: 'LIST',
    allowed: 'a comma-separated list of NAME://host:port with different names and addresses, no host empty, no port 0',
    read: (text) => complete(distinctListeners(readAll(text, readListener))),
    write: bound.write,
  });
}

function readVoter(text: string): QuorumVoter | undefined {
  const match = /^(\d{1,10})@(.+)$/.exec(text);
  if (match === null) return undefined;
  const id = Number(match[1]);
  const at = reachable(parseAddress(match[2] ?? ''));
  return at === undefined || id > MAX_ID ? undefined : { id, ...at };
}

function distinctVoters(values: readonly QuorumVoter[] | undefined): readonly QuorumVoter[] | undefined {
  if (values === undefined) return undefined;
  const ids = new Set(values.map((value) => value.id));
  const addresses = new Set(values.map(formatAddress));
  return ids.size === values.length && addresses.size === values.length ? values : undefined;
}

/** The controllers that vote: `1@host:port,2@host:port`. */
export function quorumVoters(): ConfigType<readonly QuorumVoter[]> {
  return custom({
    name: 'LIST',
    allowed: 'a comma-separated list of id@host:port with different ids and addresses',
    read: (text) => distinctVoters(readAll(text, readVoter)),
    write: (values) => values.map((value) => `${value.id}@${formatAddress(value)}`).join(','),
  });
}
