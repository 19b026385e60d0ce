import assert from "node:assert/strict";
import { isAsDocumented, parseRunbook } from "../../../testkit/runbook.ts";

const PAGE = `Before.
# Page
## One
\`\`\`sh
# a comment
first # not output
second

# out 1
#
# …
\`\`\`
\`\`\`json
# no block
\`\`\`
### Two
\`\`\`sh
third
\`\`\`
`;

Deno.test("parseRunbook: reads headings and blocks, and the comments at a block's end as its output", () => {
  assert.deepEqual(parseRunbook(PAGE), [
    { heading: "Page", level: 1, blocks: [] },
    {
      heading: "One",
      level: 2,
      blocks: [{ script: "# a comment\nfirst # not output\nsecond\n", expected: ["out 1", "", "…"] }],
    },
    { heading: "Two", level: 3, blocks: [{ script: "third", expected: [] }] },
  ]);
});

for (
  const [expected, output, isIt] of [
    [["a (1)"], "a (1)\n", true],
    [["a (1)"], "a (1)  \n\n", true],
    [["a   1"], "a 1\n", true],
    [["a 1"], "a1\n", false],
    [["a (1)"], "a (2)\n", false],
    [["a"], "a\nb\n", false],
    [["a"], "", false],
    [["b"], "a\nb\n", false],
    [["a…z"], "a to z\n", true],
    [["a…z"], "a\nz\n", false],
    [["a", "…"], "a\n", true],
    [["a", "…"], "a\nb\nc\n", true],
    [["…", "b", "…"], "a\nb\nc\n", true],
    [["…", "b", "…"], "a\nc\n", false],
    [["", "a"], "\na\n", true],
    [["", "a"], "a\n", false],
  ] as const
) {
  Deno.test(`isAsDocumented: says ${isIt} to ${JSON.stringify(output)} where ${JSON.stringify(expected)} is documented`, () => {
    assert.equal(isAsDocumented(output, { script: "", expected }), isIt);
  });
}
