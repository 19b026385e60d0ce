/** Members at paths, and inner messages, of any message: read and cut like the reference model, byte for byte. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { findFaults } from "../../src/config/file_fields.ts";
import { SOURCE_FIELDS } from "../../src/config/source_fields.ts";
import { revivedMessage } from "../../src/jobs/revive.ts";
import { editMessage } from "../../src/message/edit.ts";
import { withoutStamps } from "../../src/message/envelope.ts";
import { findMember } from "../../src/message/json_object.ts";
import { cutInner, openLetter } from "../../src/message/letter.ts";
import {
  findAt,
  formatMemberPath,
  MAX_PATH_NAMES,
  type MemberPath,
  parseMemberPath,
  toRef,
} from "../../src/message/member_path.ts";
import { type ReadableMessage, readMessage } from "../../src/message/read_message.ts";
import { literalOffsets } from "../../src/message/string_literal.ts";
import { decide, type VerdictContext } from "../../src/message/verdict.ts";
import { HOSTILE_JSON, HOSTILE_NAMES, HOSTILE_TEXT } from "../../testkit/hostile_json.ts";
import { CONTEXT, same } from "../../testkit/message_checks.ts";
import { textAt, withoutPaths } from "../../testkit/model.ts";
import { bytesOf, EVENT_TEXT, KNOWN_MEMBERS, OBJECT_TEXT, propertyRuns, textOf } from "../../testkit/payloads.ts";

function read(bytes: Uint8Array): ReadableMessage {
  const message = readMessage(bytes);
  assert.ok(message.readable);
  return message;
}

function pathsOf(names: fc.Arbitrary<string>): fc.Arbitrary<MemberPath> {
  return fc.array(names, { minLength: 1, maxLength: 4 });
}
const PATHS = fc.array(pathsOf(fc.constantFrom(...KNOWN_MEMBERS)), { maxLength: 6 });
const HOSTILE_PATHS = fc.array(pathsOf(fc.constantFrom(...HOSTILE_NAMES)), { maxLength: 6 });

function checkPaths(bytes: Uint8Array, paths: readonly MemberPath[]): void {
  const message = read(bytes);
  for (const path of paths) {
    const found = findAt(message, toRef(path));
    assert.equal(found && textOf(found.bytes.subarray(found.valueStart, found.valueEnd)), textAt(bytes, path));
  }
  const cut = editMessage(message, { cut: paths.map(toRef), append: [] });
  assert.equal(textOf(cut), textOf(withoutPaths(bytes, paths)));
  assert.ok(readMessage(cut).readable);
}

Deno.test("findAt, editMessage: read and cut at paths as the model does", () => {
  fc.assert(fc.property(OBJECT_TEXT.map(bytesOf), PATHS, checkPaths), propertyRuns(1_500));
});

Deno.test("findAt, editMessage: read and cut at paths in hostile JSON as the model does", () => {
  fc.assert(
    fc.property(HOSTILE_JSON, HOSTILE_PATHS, (bytes, paths) => {
      fc.pre(readMessage(bytes).readable);
      checkPaths(bytes, paths);
    }),
    propertyRuns(1_500),
  );
});

Deno.test("editMessage: cuts at paths give the same bytes at once, one after the other, in any order", () => {
  fc.assert(
    fc.property(OBJECT_TEXT.map(bytesOf), PATHS, PATHS, (bytes, first, second) => {
      const cut = (from: Uint8Array, paths: readonly MemberPath[]) =>
        editMessage(read(from), { cut: paths.map(toRef), append: [] });
      const once = cut(bytes, [...first, ...second]);
      assert.ok(same(cut(cut(bytes, first), second), once) && same(cut(cut(bytes, second), first), once));
    }),
    propertyRuns(1_000),
  );
});

const PATH_NAME = fc.oneof(
  fc.constantFrom(...HOSTILE_NAMES, "failed_at", "_remediation", ".", "\\", "a.b", "a\\.b"),
  fc.string({ maxLength: 6, unit: fc.constantFrom("a", ".", "\\", "é", "😀", " ") }),
);
const PATH_TEXT = fc.oneof(
  fc.string({ maxLength: 12, unit: fc.constantFrom("a", ".", "\\", "é", "\n") }),
  fc.array(fc.constantFrom("_remediation", "failed_at", "a", ".", ".", "\\.", "\\\\"), { maxLength: 8 }).map((all) =>
    all.join("")
  ),
  HOSTILE_TEXT,
);

Deno.test("parseMemberPath: reads what formatMemberPath writes, and nothing that would be written otherwise", () => {
  fc.assert(
    fc.property(fc.array(PATH_NAME, { minLength: 1, maxLength: MAX_PATH_NAMES }), PATH_TEXT, (names, text) => {
      const fits = names.every((name) => name !== "" && !/\p{Cc}|\p{Cs}/u.test(name));
      assert.deepEqual(parseMemberPath(formatMemberPath(names)), fits ? names : null);
      const parsed = parseMemberPath(text);
      if (parsed !== null) assert.equal(formatMemberPath(parsed), text);
      // The settings take every path but those of members that this service writes.
      const isOwn = parsed !== null && (parsed.includes("_remediation") || parsed[0] === "failed_at");
      assert.equal(findFaults(SOURCE_FIELDS.counter, text).length === 0, parsed !== null && !isOwn, text);
    }),
    propertyRuns(5_000),
  );
});

/** A text as a JSON string literal, with escapes where none is needed. */
function literalOf(text: string, ways: readonly number[]): string {
  const spelled = Array.from(text, (character, at) => {
    const plain = JSON.stringify(character).slice(1, -1);
    if (ways[at % ways.length] === 0) {
      return character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
    }
    return character === "/" && ways[at % ways.length] === 1 ? "\\/" : plain;
  });
  return `"${spelled.join("")}"`;
}
const WAYS = fc.array(fc.nat(6), { minLength: 1, maxLength: 40 });

Deno.test("literalOffsets: gives the place of each character of a text in its literal", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 20 }), WAYS, fc.array(fc.nat(20)), (text, ways, cuts) => {
      const literal = literalOf(text, ways), characters = Array.from(text);
      const message = read(bytesOf(`{"a": ${literal}}`)), member = findMember(message, "a")!;
      const prefixes = cuts.sort((a, b) => a - b).map((count) => characters.slice(0, count).join(""));
      const places = literalOffsets(member, prefixes.map((prefix) => bytesOf(prefix).length));
      places.forEach((place, i) => {
        const before = textOf(message.bytes.subarray(member.valueStart, place));
        assert.equal(JSON.parse(`${before}"`), prefixes[i]);
      });
    }),
    propertyRuns(1_000),
  );
});

const UNWRAP = "job.the inner";
/** An envelope, with what is to be unwrapped as an object or as text. */
const ENVELOPE = fc.record({ outer: OBJECT_TEXT, inner: fc.oneof(OBJECT_TEXT, EVENT_TEXT), ways: fc.option(WAYS) })
  .map(({ outer, inner, ways }) => {
    const before = outer.trim().slice(1, -1), comma = before.trim() === "" ? "" : ",";
    const literal = ways === null ? inner : literalOf(inner, ways);
    return { inner, bytes: bytesOf(`{${before}${comma}"job" :{"a":1, "the inner" : ${literal} , "b":"}"} }`) };
  });
const NAMES = { counter: "_moog_retry_count", cutOnReplay: ["_retry_count", "raw_json.a"], required: ["message"] };
const DIRECT: VerdictContext = { ...CONTEXT, policy: { ...CONTEXT.policy, ...NAMES } };
const below = (name: string) => `${UNWRAP}.${name}`;
const WRAPPED: VerdictContext = {
  ...CONTEXT,
  policy: {
    ...{ ...CONTEXT.policy, unwrap: UNWRAP, counter: below(NAMES.counter) },
    ...{ cutOnReplay: NAMES.cutOnReplay.map(below), required: NAMES.required.map(below) },
  },
};

Deno.test("decide: replays an inner message as it replays the same message alone, and keeps a dead one whole", () => {
  fc.assert(
    fc.property(ENVELOPE, ({ inner, bytes }) => {
      const wrapped = decide(bytes, WRAPPED), alone = decide(bytesOf(inner.trim()), DIRECT);
      assert.deepEqual([wrapped.action, wrapped.tries, wrapped.cameBackFrom], [
        ...[alone.action, alone.tries, alone.cameBackFrom],
      ]);
      if (wrapped.action === "replay") {
        assert.deepEqual(wrapped.record, alone.action === "replay" && alone.record);
        assert.equal(textOf(wrapped.payload).trim(), textOf(alone.payload));
      } else {
        assert.equal(wrapped.reason, alone.action === "dead" && alone.reason);
        assert.ok(same(withoutStamps(wrapped.payload), withoutStamps(bytes)));
      }
    }),
    propertyRuns(1_500),
  );
});

Deno.test("cutInner: cuts in an inner message as in the same message alone, and changes nothing else", () => {
  fc.assert(
    fc.property(ENVELOPE, PATHS, ({ inner, bytes }, paths) => {
      const letter = openLetter(read(bytes), ["job", "the inner"]), refs = paths.map(toRef);
      const cut = cutInner(letter, refs), again = openLetter(read(cut), letter.unwrap);
      assert.equal(textOf(again.inner!.bytes).trim(), textOf(withoutPaths(bytesOf(inner.trim()), paths)));
      const around = (whole: Uint8Array) => withoutPaths(whole, [["job", "the inner"]]);
      assert.ok(same(around(cut), around(bytes)));
      if (same(again.inner!.bytes, letter.inner!.bytes)) assert.ok(same(cut, bytes));
    }),
    propertyRuns(1_000),
  );
});

Deno.test("revivedMessage: gives a replayed, wrapped and buried message back as it was, without the stamp of the replay", () => {
  // No stamp has as many failures.
  const context = { ...WRAPPED, maxPoisonRetries: 1_001, policy: { ...WRAPPED.policy, required: [], counter: null } };
  fc.assert(
    fc.property(ENVELOPE, WAYS, ({ bytes }, ways) => {
      const replayed = decide(bytes, context);
      assert.equal(replayed.action, "replay");
      const back = bytesOf(`{"job": {"the inner": ${literalOf(textOf(replayed.payload), ways)}}, "failed_at": [1] }`);
      const dead = decide(back, { ...context, policy: { ...context.policy, required: ["missing"] } });
      assert.equal(dead.action, "dead");
      const revived = read(revivedMessage(Buffer.from(dead.payload), context.policy)), unwrap = ["job", "the inner"];
      assert.equal(
        textOf(openLetter(revived, unwrap).inner!.bytes),
        textOf(withoutPaths(replayed.payload, [["_remediation"]])),
      );
      assert.ok(same(revived.bytes, cutInner(openLetter(read(back), unwrap), ["_remediation"])));
    }),
    propertyRuns(1_000),
  );
});
