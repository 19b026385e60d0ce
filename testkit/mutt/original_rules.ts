/** How MUTT's own remediation service judges one dead letter (contract §2, `replay_dlq_messages`). Pure. */
import { readMessage } from "../../src/message/read_message.ts";
import { pythonNumber } from "./alerter_rules.ts";

/** `MAX_POISON_RETRIES` of the original. */
export const ORIGINAL_MAX_RETRIES = 3;

/** `put_back`: an exception; the message returns to the tail, where it is next again. */
export type OriginalVerdict = "replay" | "dead" | "put_back";

/** Judges by `_moog_retry_count`, which messages in the alerter's DLQ never have. Invalid JSON counts as 0. */
export function judgeAsOriginal(bytes: Uint8Array): OriginalVerdict {
  if (!isUtf8(bytes)) return "put_back";
  const message = readMessage(bytes);
  if (!message.readable) return message.reason === "unreadable" ? "replay" : "put_back";
  const count = pythonNumber(message, "_moog_retry_count");
  if (count === null) return "put_back";
  return count >= ORIGINAL_MAX_RETRIES ? "dead" : "replay";
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}
