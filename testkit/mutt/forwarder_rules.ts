/** How MUTT's Moog forwarder processes one alert (contract §1.4). Pure. */
import { findMember, type JsonObject, membersText, rawValueOf } from "../../src/message/json_object.ts";
import { readMessage } from "../../src/message/read_message.ts";
import { editMessage } from "../../src/message/edit.ts";
import { pythonNumber } from "./alerter_rules.ts";

/** `MOOG_MAX_RETRIES` of MUTT. */
export const MOOG_MAX_RETRIES = 5;

const RETRY_COUNT = "_moog_retry_count";
/** `MOOG_RETRY_BASE_DELAY` and `MOOG_RETRY_MAX_DELAY` of MUTT. */
const BASE_DELAY_SECONDS = 1, MAX_DELAY_SECONDS = 60;

/** The forwarder's decision before it sends an alert. */
export type AlertVerdict =
  /** Discarded: not JSON. */
  | { readonly action: "discard" }
  /** An exception; the alert stays in the processing list. */
  | { readonly action: "wedge" }
  /** Moved unchanged to the DLQ, unsent. */
  | { readonly action: "dead_letter" }
  | { readonly action: "send"; readonly message: JsonObject; readonly retries: number };

/** Judges an alert from the alert queue. */
export function judgeAlert(bytes: Uint8Array): AlertVerdict {
  const message = readMessage(bytes);
  if (!message.readable) return { action: message.reason === "unreadable" ? "discard" : "wedge" };
  const retries = pythonNumber(message, RETRY_COUNT);
  if (retries === null) return { action: "wedge" };
  return retries > MOOG_MAX_RETRIES ? { action: "dead_letter" } : { action: "send", message, retries };
}

/** Moogsoft's answer: a status, or a timeout. */
export type MoogAnswer = number | "no_answer";

/** Meaning of an answer: `retry` counts for the breaker; `refused` moves unchanged to the DLQ. */
export function judgeAnswer(answer: MoogAnswer): "delivered" | "retry" | "refused" {
  if (answer === "no_answer" || answer === 429 || answer >= 500) return "retry";
  return answer === 200 || answer === 201 ? "delivered" : "refused";
}

/** Pause of the only thread before the alert returns to the queue, by number of earlier retries. */
export function backoffSeconds(retries: number): number {
  return Math.min(BASE_DELAY_SECONDS * 2 ** retries, MAX_DELAY_SECONDS);
}

/** The alert that returns to the alert queue. */
export function retriedAlert(message: JsonObject, retries: number): Uint8Array {
  return editMessage(message, { cut: [RETRY_COUNT], append: [[RETRY_COUNT, String(retries + 1)]] });
}

/** The payload for Moogsoft, with the event inside. */
export function moogPayload(alert: JsonObject): string {
  const raw = (name: string) => {
    const member = findMember(alert, name);
    return member === null ? '"unknown"' : rawValueOf(member);
  };
  const text = membersText([
    ["signature", raw("hostname")],
    ["source_id", raw("hostname")],
    ["external_id", raw("_correlation_id")],
    ["manager", '"MUTT"'],
    ["description", raw("message_body")],
    ["custom_info", raw("raw_json")],
  ]);
  return `{${text}}`;
}
