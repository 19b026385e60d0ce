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
    `${name} in .env is cut at its "#": put the value in quotes if the "#" belongs to it`
  );
  assert.deepEqual(parseDotEnv(TEXT).warnings, warnings);
  assert.deepEqual(parseDotEnv(TEXT.replaceAll("\n", "\r\n")).warnings, warnings);
});
