import assert from "node:assert/strict";
import fc from "fast-check";
import { formatSources } from "../../../src/config/sources_text.ts";
import { DEFAULT_SETTINGS } from "../../../src/config/fields.ts";
import { parseSources } from "../../../src/config/sources_file.ts";
import { isUsableName } from "../../../src/operations/pair_lists.ts";

Deno.test("formatSources: writes plain YAML with comments", () => {
  const entry = { dlq: "orders:dlq", target: "orders", dead: "orders:dead", required: ["id", "a b"], maxReplays: 3 };
  const text = formatSources([{ name: "orders", entry, comments: ["why"], notes: { dlq: "4 messages" } }], {
    comments: ["top", ""],
  });
  assert.equal(
    text,
    `# top
#
sources:
  # why
  orders:
    dlq: orders:dlq # 4 messages
    target: orders
    dead: orders:dead
    required: [id, "a b"]
    maxReplays: 3
`,
  );
});

const key = fc.oneof(
  fc.string({ unit: "binary", minLength: 1, maxLength: 20 }),
  fc.constantFrom(
    "true",
    "null",
    "no",
    "1",
    "0x1",
    "1e3",
    ".inf",
    "a:",
    "a: b".replace(" ", ""),
    "#a",
    "- a",
    "'",
    '"',
    "&a",
    "*a",
    "!a",
  ),
).filter(isUsableName);

Deno.test("formatSources: what it writes is read back as it was, and no comment becomes content", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(key, { minLength: 3, maxLength: 3 }),
      fc.string({ unit: "binary" }),
      (lists, comment) => {
        const [dlq, target, dead] = lists as [string, string, string], entry = { dlq, target, dead };
        const text = formatSources([{ name: "orders", entry, comments: [comment], notes: { target: comment } }], {
          comments: [comment],
        });
        const parsed = parseSources(text, DEFAULT_SETTINGS);
        assert.ok(parsed.ok, `${text}\n${JSON.stringify(parsed)}`);
        assert.deepEqual([...parsed.file.sources], [["orders", entry]]);
      },
    ),
  );
});
