/** How MUTT's alerter processes one message (contract §1.3). Pure. */
import {
  findMember,
  isFalsy,
  type JsonObject,
  membersText,
  numberOf,
  quoteAscii,
  rawValueOf,
  stringOf,
} from "../../src/message/json_object.ts";
import { readMessage } from "../../src/message/read_message.ts";
import { editMessage } from "../../src/message/edit.ts";
import { DEMO_API_KEY } from "./dead_letters.ts";

/** `ALERTER_MAX_RETRIES` of MUTT. */
export const ALERTER_MAX_RETRIES = 3;
/** Length of `mutt:alert_queue` above which the alerter sheds (dynamic key `alerter_queue_shed_threshold`). */
export const SHED_THRESHOLD = 2_000;

const RETRY_COUNT = "_retry_count", SHEDDING_REASON = "shedding_reason";
const REQUIRED = ["hostname", "timestamp", "message"];
/** Width of the column `hostname` in MUTT's table; a longer value fails the INSERT. */
const MAX_HOSTNAME_CHARACTERS = 255;

/** The alerter's first decision about a message. */
export type EventVerdict =
  /** Discarded: not JSON, or a required member is missing or empty. */
  | { readonly action: "discard" }
  /** An exception; the message stays in the processing list. */
  | { readonly action: "wedge" }
  /** Moved unchanged to the DLQ, without an attempt. */
  | { readonly action: "dead_letter" }
  | { readonly action: "attempt"; readonly message: JsonObject; readonly retries: number };

/** Judges a message from the ingest queue. */
export function judgeEvent(bytes: Uint8Array): EventVerdict {
  const message = readMessage(bytes);
  if (!message.readable) return { action: message.reason === "unreadable" ? "discard" : "wedge" };
  const retries = pythonNumber(message, RETRY_COUNT);
  if (retries === null) return { action: "wedge" };
  if (retries > ALERTER_MAX_RETRIES) return { action: "dead_letter" };
  if (REQUIRED.some((name) => isLacking(message, name))) return { action: "discard" };
  return { action: "attempt", message, retries };
}

/** The value that Python compares with a number: 0 if the member is missing, null if the comparison raises. */
export function pythonNumber(message: JsonObject, name: string): number | null {
  const member = findMember(message, name);
  if (member === null) return 0;
  const raw = rawValueOf(member);
  if (raw === "true" || raw === "false") return raw === "true" ? 1 : 0;
  return numberOf(member);
}

/** Whether the table accepts the row: it rejects odd times and long names. */
export function fitsTable(message: JsonObject): boolean {
  return !Number.isNaN(Date.parse(textOf(message, "timestamp"))) &&
    textOf(message, "hostname").length <= MAX_HOSTNAME_CHARACTERS;
}

/** The message that returns to the ingest queue after a failed attempt. */
export function retriedEvent(message: JsonObject, retries: number): Uint8Array {
  return editMessage(message, { cut: [RETRY_COUNT], append: [[RETRY_COUNT, String(retries + 1)]] });
}

/**
 * The event in the DLQ after all attempts have failed. A value that is not an object never gets there and stays
 * unchanged.
 */
export function exhaustedEvent(bytes: Uint8Array): Uint8Array {
  const message = readMessage(bytes);
  return message.readable ? retriedEvent(message, ALERTER_MAX_RETRIES) : bytes;
}

/**
 * The message that is shed to the DLQ unread because `depth` alerts are queued. A value that is not an object stays
 * unchanged.
 */
export function shedEvent(bytes: Uint8Array, depth: number): Uint8Array {
  const message = readMessage(bytes);
  if (!message.readable) return bytes;
  const reason = `queue_depth_exceeded:${depth}>${SHED_THRESHOLD}`;
  return editMessage(message, { cut: [SHEDDING_REASON], append: [[SHEDDING_REASON, quoteAscii(reason)]] });
}

/** The alert of a message: the secret first, the whole message inside. */
export function alertOf(message: JsonObject): Uint8Array {
  const raw = (name: string) => {
    const member = findMember(message, name);
    return member === null ? '"unknown"' : rawValueOf(member);
  };
  const text = membersText([
    ["api_key", quoteAscii(DEMO_API_KEY)],
    ["hostname", raw("hostname")],
    ["team_assignment", '"NETO"'],
    ["severity", '"Warning"'],
    ["message_body", raw("message")],
    ["raw_json", new TextDecoder().decode(message.bytes)],
    ["_correlation_id", raw("_correlation_id")],
  ]);
  return new TextEncoder().encode(`{${text}}`);
}

function isLacking(message: JsonObject, name: string): boolean {
  const member = findMember(message, name);
  return member === null || isFalsy(member);
}

function textOf(message: JsonObject, name: string): string {
  const member = findMember(message, name);
  return member === null ? "" : stringOf(member) ?? "";
}
