import assert from "node:assert/strict";
import { environmentPrefixes, knownVariables } from "../../../src/config/fields.ts";

const isSeen = (name: string) =>
  environmentPrefixes().some((prefix) => prefix.endsWith("*") ? name.startsWith(prefix.slice(0, -1)) : name === prefix);

Deno.test("environmentPrefixes: cover every variable, and misspelt ones", () => {
  for (const name of [...knownVariables(), "REMEDIATION_INTERVALL", "MOOG_WEBHOK_URL"]) assert.ok(isSeen(name), name);
});

Deno.test("environmentPrefixes: hide what makes a library print what it reads", () => {
  for (const name of ["LOG_TOKENS", "LOG_STREAM", "NODE_DEBUG", "DEBUG"]) assert.ok(!isSeen(name), name);
});
