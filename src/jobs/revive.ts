/** Makes a dead message new: the opposite of what its burial did. Pure. */
import type { Buffer } from "node:buffer";
import { editMessage } from "../message/edit.ts";
import { openEnvelope } from "../message/envelope.ts";
import { cutInner, openLetter } from "../message/letter.ts";
import type { MemberPath, MemberRef } from "../message/member_path.ts";
import { fromInner, pathsOf } from "../message/policy_paths.ts";
import { findMember, objectOf, rawValueOf } from "../message/json_object.ts";
import { readMessage } from "../message/read_message.ts";
import { FAILED_AT_MEMBER, REMEDIATION_MEMBER, type SourcePolicy } from "../message/source_policy.ts";

/**
 * Returns the message as it was before this service knew it: out of this service's envelope, without stamp and failure counter, and with
 * its own `failed_at` if it had one. An envelope of the consumer stays, without stamp and counter in the inner message. An unreadable
 * message is returned unchanged.
 */
export function revivedMessage(bytes: Buffer, policy: Pick<SourcePolicy, "counter" | "unwrap">): Uint8Array {
  const enclosed = openEnvelope(bytes);
  if (enclosed !== null) return enclosed;
  const message = readMessage(bytes);
  if (!message.readable) return bytes;
  const stamp = findMember(message, REMEDIATION_MEMBER), record = stamp && objectOf(stamp);
  // Only a burial writes `failed_at`, and moves the message's own one into the stamp.
  const isBuried = record !== null && findMember(record, "reason") !== null;
  const own = isBuried ? findMember(record, FAILED_AT_MEMBER) : null;
  const { unwrap, counter } = pathsOf(policy), counters: readonly MemberRef[] = counter === null ? [] : [counter];
  const revived = editMessage(message, {
    cut: [REMEDIATION_MEMBER, ...(isBuried ? [FAILED_AT_MEMBER] : []), ...counters],
    append: own === null ? [] : [[FAILED_AT_MEMBER, rawValueOf(own)]],
  });
  return unwrap === null ? revived : reviveInner(revived, unwrap, [REMEDIATION_MEMBER, ...fromInner(counters, unwrap)]);
}

function reviveInner(bytes: Uint8Array, unwrap: MemberPath, cut: readonly MemberRef[]): Uint8Array {
  const message = readMessage(bytes);
  return message.readable ? cutInner(openLetter(message, unwrap), cut) : bytes;
}
