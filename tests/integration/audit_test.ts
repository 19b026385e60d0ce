import { match, strictEqual } from "node:assert/strict";
import { audit, type AuditResult } from "../../scripts/audit.ts";
import { startHttpStub, type StubAnswer } from "../../testkit/http_stub.ts";

function advisory(severity: string): StubAnswer {
  const one = { id: 1, url: "https://example.com/1", title: "Bad", severity, vulnerable_versions: "*", cwe: [] };
  const body = JSON.stringify({ ioredis: [{ ...one, cvss: { score: 9, vectorString: null } }] });
  return { status: 200, headers: { "content-type": "application/json" }, body };
}

const cases: [string, StubAnswer, AuditResult, RegExp][] = [
  ["nothing is known", { status: 200, body: "{}" }, "clean", /No known vulnerabilities/],
  ["something critical is known", advisory("critical"), "vulnerable", /ioredis/],
  ["something high is known", advisory("high"), "vulnerable", /ioredis/],
  ["what is known is moderate", advisory("moderate"), "clean", /1 moderate/],
  ["the registry has no such service", { status: 405 }, "unknown", /could not be reached, skipped/],
  ["the registry fails", { status: 500, body: "<html>" }, "unknown", /could not be reached, skipped/],
  ["the connection breaks", { fault: "reset" }, "unknown", /could not be reached, skipped/],
];

for (const [what, answer, result, told] of cases) {
  Deno.test(`audit: is ${result} when ${what}`, async () => {
    const registry = await startHttpStub();
    registry.answer(answer);
    try {
      const found = await audit({ NPM_CONFIG_REGISTRY: `${registry.url}/` });
      strictEqual(found.result, result, found.told);
      match(found.told, told);
      match(registry.requests[0]!.body, /"ioredis":\[[^\]]*"6\.0\.0"[^\]]*\]/);
    } finally {
      await registry.stop();
    }
  });
}
