import assert from "node:assert/strict";
import fc from "fast-check";
import { lastOutage } from "../../../src/cycle/outages.ts";
import { MAX_OPERATOR_NAME, MAX_REASON, parsePause, toLine } from "../../../src/cycle/pause.ts";

Deno.test("parsePause: gives short lines, whatever another client wrote", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => {
    const { by, reason } = parsePause({ untilMs: 1, by: text, reason: text })!;
    assert.ok([...by].length <= MAX_OPERATOR_NAME && [...reason].length <= MAX_REASON);
    assert.doesNotMatch(by + reason, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
  }));
  assert.equal(parsePause({ untilMs: 0, by: "ann", reason: "r" }), null);
  assert.equal(toLine(" a\r\nb ", 9), "a b");
});

Deno.test("lastOutage: reads the newest, and nothing from other text", () => {
  const newest = { gate: "downstream", reason: "tls", fromMs: 5, untilMs: 9 };
  assert.deepEqual(lastOutage("consumer gone 1-2 3;downstream tls 5-9 4"), newest);
  assert.deepEqual(lastOutage("downstream tls 5-9 4"), newest);
  for (const text of ["", ";", "a b 1-2", "a b x-2 3", "a b 1-2 3;"]) assert.equal(lastOutage(text), null, text);
});
