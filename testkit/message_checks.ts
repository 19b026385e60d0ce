/** Invariants for any bytes in a dead-letter queue. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { openEnvelope, withoutStamps } from "../src/message/envelope.ts";
import { type ReadableMessage, readMessage } from "../src/message/read_message.ts";
import { editMessage } from "../src/message/edit.ts";
import { correlationIdOf, eventTimeOf, MAX_PREVIEW_CHARACTERS, previewMessage } from "../src/message/preview.ts";
import { decide, type VerdictContext } from "../src/message/verdict.ts";
import { textOf } from "./payloads.ts";

/** A verdict of the built-in source `alerter` that requires no members. */
export const CONTEXT: VerdictContext = {
  policy: {
    name: "alerter",
    push: "LPUSH",
    dlq: "d",
    target: "t",
    dead: "x",
    counter: "_moog_retry_count",
    cutOnReplay: ["_retry_count", "shedding_reason"],
    required: [],
  },
  maxPoisonRetries: 3,
  cycle: 412,
  cycleStartedAtMs: 1_764_000_000_999,
  nowMs: 1_764_000_300_000,
  tallyOf: () => undefined,
  failedAt: "2026-01-02T03:04:05.678Z",
};

/** Result of {@link readMessage}. */
export type Reading = "readable" | "malformed" | "unreadable";

/** The result in one word. */
export function readingOf(bytes: Uint8Array): Reading {
  const message = readMessage(bytes);
  return message.readable ? "readable" : message.reason;
}

/** Whether two byte strings are equal. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/**
 * Checks that the input stays unchanged. A readable message keeps every byte except stamps and members to cut, and
 * stays readable. Any other message is dead with the right reason and unchanged in its envelope. Its excerpt is short
 * and has no control characters.
 */
export function checkMessage(bytes: Uint8Array): void {
  const before = bytes.slice();
  const message = readMessage(bytes);
  const verdict = decide(bytes, CONTEXT);
  assert.ok(readMessage(verdict.payload).readable);
  if (message.readable) {
    const extra = verdict.action === "replay" ? CONTEXT.policy.cutOnReplay : [];
    const rest = editMessage(message, { cut: ["_remediation", "failed_at", ...extra], append: [] });
    assert.ok(same(withoutStamps(verdict.payload, extra), rest));
  } else {
    assert.ok(verdict.action === "dead" && verdict.reason === message.reason);
    assert.ok(same(openEnvelope(verdict.payload)!, bytes));
    assert.match(verdict.detail, /^(JSON, but not an object|n[ \w-]+)$|^an integer of more than \d+ digits$/);
  }
  const opened = openEnvelope(bytes);
  if (opened !== null) assert.ok([textOf(opened), opened.toBase64()].includes(payloadOf(bytes)));
  const preview = previewMessage(bytes);
  assert.ok(preview.length <= MAX_PREVIEW_CHARACTERS && !/[\p{C}\p{Zl}\p{Zp}]/u.test(preview), preview);
  assert.ok((correlationIdOf(bytes) ?? "").length <= 128);
  const atMs = eventTimeOf(bytes, 1_795_000_000_000);
  assert.ok(atMs === undefined || Number.isSafeInteger(atMs));
  assert.ok(same(bytes, before), "the bytes were changed");
}

/** The last member's value if it is a string, as `JSON.parse` reads it. */
function payloadOf(bytes: Uint8Array): string {
  const { bytes: whole, valueStart, valueEnd } = (readMessage(bytes) as ReadableMessage).members.at(-1)!;
  return JSON.parse(textOf(whole.subarray(valueStart, valueEnd)));
}

/** Bytes that count their reads: the work of a scan, independent of the machine's speed. */
export function countingBytes(bytes: Uint8Array): { readonly bytes: Uint8Array; reads(): number } {
  let reads = 0;
  const counting = new Proxy(bytes, {
    get(target, name) {
      if (typeof name === "string" && /^\d+$/.test(name)) reads++;
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { bytes: counting, reads: () => reads };
}
