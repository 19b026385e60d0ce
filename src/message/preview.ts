/** The parts of a message that may be shown: a redacted preview, its correlation id and its time. Never its text or a key. */
import { findMember, type JsonMember, numberOf, stringOf } from "./json_object.ts";
import { type Letter, openLetter } from "./letter.ts";
import type { MemberPath } from "./member_path.ts";
import { MAX_TIME_CHARACTERS, parseEventTime } from "./event_time.ts";
import { readMessage } from "./read_message.ts";
import { FAILED_AT_MEMBER } from "./source_policy.ts";

/** Maximum length of a preview, in characters. */
export const MAX_PREVIEW_CHARACTERS = 300;
const MAX_VALUE_CHARACTERS = 80;
const MAX_ID_CHARACTERS = 128;
/** One character takes at most `\uXXXX` in a string literal. */
const MAX_ESCAPE_BYTES = 6;
const CORRELATION_ID = "_correlation_id";
/** Only these members are shown; `api_key`, `message` and all others are not. */
const SHOWN_MEMBERS = [CORRELATION_ID, "hostname", "severity", "source", "timestamp"];

/**
 * Describes a message in one line for DEBUG logs, in at most {@link MAX_PREVIEW_CHARACTERS} characters: its length, and the
 * first characters of some top-level members (an allow-list). An unreadable message shows its length and the reason.
 * Objects and arrays are never shown. `unwrap`: the path of the inner message, whose members come before those of the whole one.
 */
export function previewMessage(bytes: Uint8Array, unwrap: MemberPath | null = null): string {
  const message = readMessage(bytes);
  const shown = message.readable ? previewLetter(openLetter(message, unwrap)) : [message.reason];
  return shorten([`${bytes.length} bytes`, ...shown].join(" "), MAX_PREVIEW_CHARACTERS);
}

function previewLetter(letter: Letter): string[] {
  return SHOWN_MEMBERS.flatMap((name) => {
    const member = findOwn(letter, name);
    return member === null ? [] : [`${name}=${previewValue(member)}`];
  });
}

/** Returns the message's `_correlation_id` if it is a string of at most 128 characters, else undefined. */
export function correlationIdOf(bytes: Uint8Array, unwrap: MemberPath | null = null): string | undefined {
  const message = readMessage(bytes);
  if (!message.readable) return undefined;
  return shortStringIn(openLetter(message, unwrap), { name: CORRELATION_ID, max: MAX_ID_CHARACTERS });
}

/**
 * Returns the event's own time in milliseconds since the epoch: `timestamp`, or else `failed_at`; undefined if neither is a time
 * (`parseEventTime`). Any producer may write these members, so use the time for display only.
 */
export function eventTimeOf(
  bytes: Uint8Array,
  nowMs: number,
  { unwrap = null }: { unwrap?: MemberPath | null } = {},
): number | undefined {
  const message = readMessage(bytes);
  return message.readable ? eventTimeIn(openLetter(message, unwrap), nowMs) : undefined;
}

/** Returns the same as {@link eventTimeOf} for a message that has been read. */
export function eventTimeIn(letter: Letter, nowMs: number): number | undefined {
  return instantIn(letter, "timestamp", nowMs) ?? instantIn(letter, FAILED_AT_MEMBER, nowMs);
}

function instantIn(letter: Letter, name: string, nowMs: number): number | undefined {
  const member = findOwn(letter, name);
  if (member === null || isLongerThan(member, MAX_TIME_CHARACTERS)) return undefined;
  const value = stringOf(member) ?? numberOf(member);
  return value === null ? undefined : parseEventTime(value, nowMs);
}

/** The string under that name, if it has at most `max` characters. A huge one is not decoded. */
function shortStringIn(letter: Letter, { name, max }: { name: string; max: number }): string | undefined {
  const member = findOwn(letter, name);
  if (member === null || isLongerThan(member, max)) return undefined;
  const text = stringOf(member);
  return text !== null && text.length <= max ? text : undefined;
}

/** Whether the text is longer than `characters` even if every character is escaped. */
function isLongerThan({ valueStart, valueEnd }: JsonMember, characters: number): boolean {
  return valueEnd - valueStart > characters * MAX_ESCAPE_BYTES + 2;
}

/** The event's own member, or else that of the envelope. */
function findOwn({ whole, inner }: Letter, name: string): JsonMember | null {
  const own = inner && findMember(inner, name);
  return own === null && inner !== whole ? findMember(whole, name) : own;
}

/** The start of the value's JSON text, in which quotes and control characters are already escaped. */
function previewValue({ bytes, valueStart, valueEnd }: JsonMember): string {
  if (isContainer(bytes[valueStart]!)) return "(not shown)";
  const enough = Math.min(valueEnd, valueStart + MAX_VALUE_CHARACTERS * 4);
  const raw = new TextDecoder().decode(bytes.subarray(valueStart, enough));
  return shorten(raw.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?"), MAX_VALUE_CHARACTERS);
}

function isContainer(first: number): boolean {
  return first === 0x7b || first === 0x5b;
}

/** Shortens to at most `max` UTF-16 units, never inside a character. A shortened text ends with `…`. */
function shorten(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
