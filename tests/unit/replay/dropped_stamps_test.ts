import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { DroppedStamps } from "../../../src/replay/dropped_stamps.ts";

const POLICY = { cutOnReplay: ["_retry_count"], counter: "_moog_retry_count" };
const texts = (count: number, more = "") => Array.from({ length: count }, (_, i) => `{"id": ${i}, "a": [1, 2]${more}}`);
const buffers = (all: readonly string[]) => all.map((text) => Buffer.from(text));

/** What is said after messages went and others arrived without a stamp. */
function after(replayed: readonly string[], arrived: readonly string[], stamped = 0) {
  const stamps = new DroppedStamps(POLICY);
  stamps.replayed(1, buffers(replayed));
  return stamps.looked({ stamped, unstamped: buffers(arrived) });
}

Deno.test("DroppedStamps: notices three messages that came back without their stamp, whatever else was done to them", () => {
  assert.equal(after(texts(20), texts(3)), true);
  assert.equal(after(texts(20, ', "_retry_count": 4'), texts(3, ', "_moog_retry_count": 1, "error": "no"')), true);
  assert.equal(
    after(texts(20), ['{"a":[1,2],"id":0}', '{ "id":1.0,"a":[1, 2] }', '{"id": 2, "x": {}, "a": [1,2]}']),
    true,
  );
  assert.equal(after(texts(20), texts(2)), null, "two may be chance");
});

Deno.test("DroppedStamps: compares what is unwrapped, without what is cut or counted at a path", () => {
  const policy = { cutOnReplay: ["payload.headers.tries"], counter: "payload.headers.count", unwrap: "payload" };
  let at = 0;
  const letters = (count: number, { inText = false, more = "", from = 0 } = {}) =>
    Array.from({ length: count }, (_, i) => {
      const inner = `{"id": ${from + i}, "headers": {"tenant": 1${more}}}`;
      return `{"at": ${at++}, "payload": ${inText ? JSON.stringify(inner) : inner}}`;
    });
  const afterwards = (replayed: readonly string[], arrived: readonly string[]) => {
    const stamps = new DroppedStamps(policy);
    stamps.replayed(1, buffers(replayed));
    return stamps.looked({ stamped: 0, unstamped: buffers(arrived) });
  };
  assert.equal(afterwards(letters(9, { more: ', "tries": 3' }), letters(3, { more: ', "count": 1' })), true);
  assert.equal(afterwards(letters(9), letters(3, { inText: true })), true);
  assert.equal(afterwards(letters(9), letters(9, { from: 100 })), false);
  assert.equal(afterwards(letters(9), letters(9, { more: ', "other": 1' })), false);
  assert.equal(afterwards(Array(9).fill('{"payload": [1]}'), Array(9).fill('{"payload": [1]}')), null);
});

Deno.test("DroppedStamps: takes new messages for new, and one stamp for a consumer that keeps them", () => {
  assert.equal(after(texts(20), texts(20, ', "b": 2').map((text) => text.replace('"id": ', '"id": 9'))), false);
  assert.equal(after(texts(20), texts(20), 1), false);
  assert.equal(after(texts(20), []), null, "nothing arrived that could tell");
  assert.equal(after([], texts(20)), null, "nothing was replayed");
});

Deno.test("DroppedStamps: takes one event that is reported again and again for one", () => {
  const same = Array(20).fill('{"event": "disk full"}');
  assert.equal(after(same, same), null);
});

Deno.test("DroppedStamps: compares with the last cycle alone", () => {
  const stamps = new DroppedStamps(POLICY);
  stamps.replayed(1, buffers(texts(20)));
  stamps.replayed(2, buffers(['{"id": "another"}']));
  assert.equal(stamps.looked({ stamped: 0, unstamped: buffers(texts(20)) }), false);
  stamps.replayed(3, []);
  assert.equal(stamps.looked({ stamped: 0, unstamped: buffers(['{"id": "another"}']) }), null);
});

Deno.test("DroppedStamps: compares nothing that it cannot read, and no object without members", () => {
  for (const odd of ["{}", "[]", "no JSON", '{"_retry_count": 4}', `{"a": "${"x".repeat(9_000)}"}`, "3"]) {
    assert.equal(after([odd, `${odd} `, ` ${odd}`], [odd, `${odd} `, ` ${odd}`]), null, odd.slice(0, 20));
  }
});
