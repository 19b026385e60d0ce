import assert from "node:assert/strict";
import { parseDotEnv } from "../../../src/config/layers.ts";

const TEXT = `
# a comment with REDIS_PASS=a#b
REMEDIATION_INTERVAL=600   # ten minutes
export MAX_POISON_RETRIES=5
REDIS_PASS_CURRENT=ab#cd
REDIS_PASS_NEXT="ab#cd"
MOOG_API_KEY=#abc
MOOG_WEBHOOK_URL='https://moog.example/#/x'
DEAD_LETTER_QUEUE= # none
NOT_OURS=ab#cd
__proto__=odd
`;

Deno.test("parseDotEnv: reads values without their comments and quotes", () => {
  const { variables } = parseDotEnv(TEXT);
  assert.deepEqual({ ...variables, ["__proto__"]: undefined }, {
    REMEDIATION_INTERVAL: "600",
    MAX_POISON_RETRIES: "5",
    REDIS_PASS_CURRENT: "ab",
    REDIS_PASS_NEXT: "ab#cd",
    MOOG_API_KEY: "",
    MOOG_WEBHOOK_URL: "https://moog.example/#/x",
    DEAD_LETTER_QUEUE: "",
    NOT_OURS: "ab",
    ["__proto__"]: undefined,
  });
});

Deno.test("parseDotEnv: warns where a value of ours is cut inside a word", () => {
  const warnings = ["REDIS_PASS_CURRENT", "MOOG_API_KEY"].map((name) =>
    `${name} in .env is cut at its "#": quote the value if the "#" is part of it`
  );
  assert.deepEqual(parseDotEnv(TEXT).warnings, warnings);
  assert.deepEqual(parseDotEnv(TEXT.replaceAll("\n", "\r\n")).warnings, warnings);
});

Deno.test("parseDotEnv: reads a text of the largest size, however odd, in a moment", () => {
  const size = 1_000_000;
  const texts = ["\n", "\r\n", " \n", "'", '"\n', "A='\n", "A=`\nB='\n", "A=\\'", "export ", "#", "A ", "A=1#"]
    .map((part) => part.repeat(size / part.length));
  for (
    const text of [...texts, `A='${"x".repeat(size)}'`, `A="${"\\n".repeat(size / 2)}"`, `A= ${" ".repeat(size)}'`]
  ) {
    const startedMs = performance.now();
    assert.equal(parseDotEnv(`${text}\nREDIS_DB=7\n`).warnings.length, 0);
    assert.ok(performance.now() - startedMs < 5_000, JSON.stringify(text.slice(0, 20)));
  }
  assert.equal(parseDotEnv(`A=1\n${"\n".repeat(size)}  REDIS_DB=7`).variables.REDIS_DB, "7");
});
