/**
 * Generates dead letters of MUTT's alerter: realistic ones, and every kind that a replayer could damage. Pure: the
 * same seed gives the same bytes. For the demo, tests and benchmarks.
 */
import { membersText, quoteAscii } from "../../src/message/json_object.ts";
import { SeededRandom } from "./random.ts";

/** A plain-text secret in some messages, as in alerts. It must not appear in any log. */
export const DEMO_API_KEY = "demo-key-Pl4nt3dS3cr3t-5f";

/** Size of a `large` message in the dead-letter queue: 1 MiB. */
export const LARGE_BYTES = 1024 * 1024;

/** The alerter's mark before the last brace of a message that it gave up or shed (contract §1.3). */
export const ALERTER_MARKS = ["_retry_count", "shedding_reason"] as const;

/** Expected end of a message: with the consumer, or in the dead list for this reason. */
export type Fate = "delivered" | "poison" | "malformed" | "unreadable";

/** The kinds of messages. */
export type MessageKind = keyof typeof RECIPES;

/** Relative share of each kind. */
export type Mix = Readonly<Partial<Record<MessageKind, number>>>;

/** A dead letter. */
export interface DeadLetter {
  readonly kind: MessageKind;
  readonly fate: Fate;
  /** Its bytes in the dead-letter queue. */
  readonly payload: Uint8Array;
  /** Its bytes before the alerter's mark, all of which must come out again. */
  readonly original: Uint8Array;
}

/** Options of the generator. */
export interface GeneratorOptions {
  readonly count: number;
  /** Default 1. */
  readonly seed?: number;
  /** Default {@link DEMO_MIX}, with one message of 1 MiB in 300. */
  readonly mix?: Mix;
  /** Time of the first event; each of the others is a second later. Default: 15 January 2026, 14:30 UTC. */
  readonly firstAtMs?: number;
}

/** The demo's mix, in percent: after an outage most messages are healthy. */
export const DEMO_MIX: Mix = {
  exhausted: 38,
  shed: 28,
  healthy: 12,
  big_integers: 3,
  odd_numbers: 3,
  equal_keys: 2,
  large: 0.3,
  poison: 4,
  malformed: 5,
  not_json: 3,
  bad_utf8: 1.7,
};

/**
 * Makes `count` dead letters in a random order; every kind of the mix occurs at least once.
 *
 * @throws {RangeError} if `count` is less than the number of kinds, or the mix is empty.
 */
export function generateDeadLetters(
  { count, seed = 1, mix = DEMO_MIX, firstAtMs = FIRST_AT_MS }: GeneratorOptions,
): DeadLetter[] {
  const random = new SeededRandom(seed);
  const kinds = random.shuffle(apportion(count, mix));
  return kinds.map((kind, index) => generateDeadLetter(kind, { random, index, firstAtMs }));
}

/** Generates one message; `index` (default 0) adds seconds to its time. */
export function generateDeadLetter(
  kind: MessageKind,
  { random, index = 0, firstAtMs = FIRST_AT_MS }: { random: SeededRandom; index?: number; firstAtMs?: number },
): DeadLetter {
  const { fate, make } = RECIPES[kind];
  return { kind, fate, ...make(createEvent(random, firstAtMs + index * 1_000), random) };
}

/** One of each kind, the rest by share; the rounding remainder goes to the first kind. */
function apportion(count: number, mix: Mix): MessageKind[] {
  const shares = Object.entries(mix) as [MessageKind, number][];
  if (shares.length === 0 || count < shares.length) {
    throw new RangeError(`Cannot make ${count} messages of ${shares.length} kinds: one of each is the least`);
  }
  const total = shares.reduce((sum, [, share]) => sum + share, 0);
  const kinds = shares.flatMap(([kind, share]) =>
    Array<MessageKind>(1 + Math.floor((count - shares.length) * share / total)).fill(kind)
  );
  const [first] = shares[0] as [MessageKind, number];
  return [...kinds, ...Array<MessageKind>(count - kinds.length).fill(first)];
}

/** Members in order: name, and value as JSON text. */
type Event = readonly (readonly [name: string, json: string])[];
type Bytes = Pick<DeadLetter, "payload" | "original">;

const HOSTS = ["core-fra-1", "edge-muc-02", "fw-dmz-1", "dist-sw-14", "ups-rack-7", "db-07.example.net"];
const TEXTS = [
  "%LINK-3-UPDOWN: Interface GigabitEthernet0/1, changed state to down",
  "%BGP-5-ADJCHANGE: neighbor 192.0.2.17 Down - holdtimer expired",
  "kernel: EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2",
  'sshd[4711]: Failed password for invalid user "admin" from 198.51.100.4',
  "Netzteil 2 ausgefallen: Überlast, 63 °C",
  "SNMP trap: upsOnBattery \\ estimated 12 min\tremaining",
];
const SEVERITIES = ["Critical", "Error", "Warning", "Notice"];
const FIRST_AT_MS = Date.UTC(2026, 0, 15, 14, 30, 0);

/** An event as the ingestor queues it; one in eight carries an `api_key` as its first member. */
function createEvent(random: SeededRandom, atMs: number): Event {
  const isTrap = random.below(4) === 0;
  const secret = random.below(8) === 0 ? [["api_key", quoteAscii(DEMO_API_KEY)]] as const : [];
  const trap = isTrap ? [["trap_oid", '"1.3.6.1.6.3.1.1.5.3"'], ["source_type", '"snmp"']] as const : [];
  return [
    ...secret,
    ["timestamp", quoteAscii(`${new Date(atMs).toISOString().slice(0, 19)}Z`)],
    ["hostname", quoteAscii(random.pick(HOSTS))],
    ["message", quoteAscii(random.pick(TEXTS))],
    ["severity", quoteAscii(random.pick(SEVERITIES))],
    ["syslog_severity", String(random.below(8))],
    ...trap,
    ["_correlation_id", quoteAscii(random.uuid())],
  ];
}

interface Recipe {
  readonly fate: Fate;
  readonly make: (event: Event, random: SeededRandom) => Bytes;
}

const RECIPES = {
  /** Valid and without a mark: put there by hand. */
  healthy: { fate: "delivered", make: (event) => unmarked(textOf(event)) },
  /** Given up after four attempts. Unless the counter is cut, the alerter gives up again without reading it. */
  exhausted: { fate: "delivered", make: (event) => retried(textOf(event)) },
  /** Shed unread because too many alerts were queued. */
  shed: { fate: "delivered", make: (event, random) => shed(textOf(event), random) },
  /** Integers beyond JavaScript's numbers. */
  big_integers: { fate: "delivered", make: (event) => retried(textOf([...event, ...BIG_INTEGERS])) },
  /** Numbers that change when parsed and rewritten, and numbers that JSON does not allow. */
  odd_numbers: { fate: "delivered", make: (event) => retried(textOf([...event, ...ODD_NUMBERS])) },
  /** A duplicate key. */
  equal_keys: { fate: "delivered", make: (event) => unmarked(textOf([...event, ["tag", '"a"'], ["tag", '"b"']])) },
  /** A message of {@link LARGE_BYTES}. */
  large: { fate: "delivered", make: makeLarge },
  /** Looks valid, but the alerter always fails: its table rejects the time or the name. */
  poison: { fate: "poison", make: makePoison },
  /** Discarded by the alerter: a required member is missing or empty, or it is not an object. */
  malformed: { fate: "malformed", make: makeMalformed },
  /** Discarded by the alerter: not JSON. */
  not_json: { fate: "unreadable", make: makeNotJson },
  /** The alerter's read raises: contains Latin-1. */
  bad_utf8: { fate: "unreadable", make: makeBadUtf8 },
} as const satisfies Record<string, Recipe>;

const BIG_INTEGERS: Event = [["serial", "9007199254740993"], ["if_octets", "184467440737095516159"]];
const ODD_NUMBERS: Event = [
  ["load", "1.0"],
  ["ratio", "NaN"],
  ["limit", "Infinity"],
  ["drift", "1e-07"],
  ["offset", "-0.0"],
];

function makeLarge(event: Event): Bytes {
  const withDump = (dump: string) => retried(textOf([...event, ["dump", quoteAscii(dump)]]));
  return withDump("x".repeat(LARGE_BYTES - withDump("").payload.length));
}

function makePoison(event: Event, random: SeededRandom): Bytes {
  const longName = `${"a-very-long-name.".repeat(16)}example.net`;
  const [name, value] = random.pick([["hostname", longName], ["timestamp", "0000-00-00T00:00:00Z"]] as const);
  return retried(textOf(replace(event, { name, json: quoteAscii(value) })));
}

function makeMalformed(event: Event, random: SeededRandom): Bytes {
  const name = random.pick(["hostname", "timestamp", "message"]);
  switch (random.below(3)) {
    case 0:
      return shed(textOf(event.filter(([other]) => other !== name)), random);
    case 1:
      return shed(textOf(replace(event, { name, json: random.pick(['""', "null", "0", "[]"]) })), random);
    default:
      return unmarked(random.pick([`[${textOf(event)}]`, quoteAscii(textOf(event)), "42", "null"]));
  }
}

function makeNotJson(event: Event, random: SeededRandom): Bytes {
  const text = textOf(event);
  return unmarked(random.pick([
    `<34>Oct 11 22:14:15 core-fra-1 su: 'su root' failed on /dev/pts/${random.below(100)}`,
    text.slice(0, Math.floor(text.length * 0.8)),
    text.replaceAll('"', "'"),
    "",
  ]));
}

function makeBadUtf8(event: Event): Bytes {
  const text = textOf(event).replace('"message": "', '"message": "\u00dcberlast: ');
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  return { payload: bytes, original: bytes };
}

/** Formats like Python's `json.dumps`. */
function textOf(event: Event): string {
  return `{${membersText(event)}}`;
}

function replace(event: Event, { name, json }: { name: string; json: string }): Event {
  return event.map((member) => member[0] === name ? [name, json] : member);
}

function unmarked(text: string): Bytes {
  const bytes = new TextEncoder().encode(text);
  return { payload: bytes, original: bytes };
}

function retried(text: string): Bytes {
  return marked(text, '"_retry_count": 4');
}

function shed(text: string, random: SeededRandom): Bytes {
  return marked(text, `"shedding_reason": "queue_depth_exceeded:${2001 + random.below(900)}>2000"`);
}

/** Adds a member to an object like Python. */
function marked(text: string, member: string): Bytes {
  return { payload: unmarked(`${text.slice(0, -1)}, ${member}}`).payload, original: unmarked(text).original };
}
