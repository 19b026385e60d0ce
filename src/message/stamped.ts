/** The stamps that this service puts into messages that can be read, and how they come off again. */
import { openEnvelope } from "./envelope.ts";
import { findMember, type JsonObject } from "./json_members.ts";
import { objectOf, rawValueOf } from "./json_values.ts";
import { quoteAscii } from "./json_text.ts";
import { readMessage } from "./read_message.ts";
import { editMessage, type MessageEdit } from "./edit.ts";
import { type Death, isSameRecord, recordText, type ReplayRecord } from "./stamp.ts";
import { FAILED_AT_MEMBER, REMEDIATION_MEMBER } from "./source_policy.ts";

/** The message as it goes back to work: `cut` and every `_remediation` out, the record in as the last member. */
export function stampReplay(
  message: JsonObject,
  { record, cut }: { record: ReplayRecord; cut: readonly string[] },
): Uint8Array {
  return editMessage(message, replayEdit(record, cut));
}

/** The last edit of a replay: most messages of a chunk take the same. */
let lastReplay: { record: ReplayRecord; cut: readonly string[]; edit: MessageEdit } | null = null;

function replayEdit(record: ReplayRecord, cut: readonly string[]): MessageEdit {
  if (lastReplay?.cut === cut && isSameRecord(lastReplay.record, record)) return lastReplay.edit;
  const edit = { cut: [...cut, REMEDIATION_MEMBER], append: [[REMEDIATION_MEMBER, recordText(record)]] as const };
  lastReplay = { record, cut, edit };
  return edit;
}

/**
 * The message as it goes to the dead list: only earlier stamps cut, `failed_at` and the record with its reason last. A `failed_at` of its
 * own stands in the record from then on, as it was: MUTT's retention reads the top-level one. That is one level deeper, so the
 * result may be nested deeper than can be read.
 */
export function stampDeath(
  message: JsonObject,
  { record, death }: { record: ReplayRecord; death: Death },
): Uint8Array {
  return editMessage(message, {
    cut: [FAILED_AT_MEMBER, REMEDIATION_MEMBER],
    append: [
      [FAILED_AT_MEMBER, quoteAscii(death.failedAt)],
      [REMEDIATION_MEMBER, recordText(record, death.reason, ownFailedAt(message))],
    ],
  });
}

/** The JSON text of the message's own `failed_at`; null where it has none, or an earlier burial of ours has put it there. */
function ownFailedAt(message: JsonObject): string | null {
  const failedAt = findMember(message, FAILED_AT_MEMBER), stamp = findMember(message, REMEDIATION_MEMBER);
  const record = stamp && objectOf(stamp), isBuried = record !== null && findMember(record, "reason") !== null;
  if (isBuried) {
    const kept = findMember(record, FAILED_AT_MEMBER);
    return kept && rawValueOf(kept);
  }
  return failedAt && rawValueOf(failedAt);
}

/**
 * The bytes without this service's stamps: an envelope opened, else every `_remediation`, `failed_at` and member of
 * `extraNames` cut. What cannot be read comes back as it is. Safe to call twice on what {@link stampReplay} and
 * {@link stampDeath} made.
 */
export function withoutStamps(bytes: Uint8Array, extraNames: readonly string[] = []): Uint8Array {
  const enclosed = openEnvelope(bytes);
  if (enclosed !== null) return enclosed;
  const message = readMessage(bytes);
  if (!message.readable) return bytes;
  return editMessage(message, { cut: [REMEDIATION_MEMBER, FAILED_AT_MEMBER, ...extraNames], append: [] });
}
