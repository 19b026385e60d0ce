import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Secret } from "../../../src/runtime/secret.ts";
import type { FetchOutcome } from "../../../src/runtime/bounded_fetch.ts";
import { formatProbe, judgeProbe, sendProbe } from "../../../src/mutt/moogsoft_probe.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

const SUCCESS = { successCodes: [200, 201, 202], address: "moog:8888" };

// Original tests 5 to 8 and 10 (contract §10).
const verdicts: [FetchOutcome, string, RegExp][] = [
  [{ kind: "answered", status: 200 }, "healthy", /answered 200/],
  [{ kind: "answered", status: 201 }, "healthy", /answered 201/],
  [{ kind: "answered", status: 202 }, "healthy", /answered 202/],
  [{ kind: "answered", status: 204 }, "unhealthy", /answered 204/],
  [{ kind: "answered", status: 301 }, "probe_rejected", /301.*MOOG_WEBHOOK_URL/],
  [{ kind: "answered", status: 400 }, "unhealthy", /answered 400/],
  [{ kind: "answered", status: 401 }, "probe_rejected", /401.*MOOG_API_KEY/],
  [{ kind: "answered", status: 403 }, "probe_rejected", /403.*MOOG_API_KEY/],
  [{ kind: "answered", status: 404 }, "probe_rejected", /404.*MOOG_WEBHOOK_URL/],
  [{ kind: "answered", status: 429 }, "unhealthy", /answered 429/],
  [{ kind: "answered", status: 500 }, "unhealthy", /answered 500/],
  [{ kind: "answered", status: 503 }, "unhealthy", /answered 503/],
  [{ kind: "timeout" }, "timeout", /MOOG_HEALTH_TIMEOUT/],
  [{ kind: "unreachable" }, "unreachable", /cannot be reached.*MOOG_WEBHOOK_URL/],
  [{ kind: "dns" }, "dns", /DNS.*MOOG_WEBHOOK_URL/],
  [{ kind: "refused" }, "refused", /refuses.*MOOG_WEBHOOK_URL/],
  [{ kind: "proxy" }, "proxy", /does not connect/],
  [{ kind: "tls", flaw: "unknown_authority" }, "tls", /not trusted.*MOOG_CA_CERT_PATH/],
  [{ kind: "tls", flaw: "self_signed" }, "tls", /self-signed.*MOOG_CA_CERT_PATH/],
  [{ kind: "tls", flaw: "expired" }, "tls", /expired/],
  [{ kind: "tls", flaw: "not_yet_valid" }, "tls", /not valid yet/],
  [{ kind: "tls", flaw: "wrong_name" }, "tls", /another name.*MOOG_WEBHOOK_URL/],
  [{ kind: "tls", flaw: "not_tls" }, "tls", /not speak TLS.*MOOG_WEBHOOK_URL/],
  [{ kind: "tls", flaw: "other" }, "tls", /handshake.*MOOG_WEBHOOK_URL/],
];

for (const [outcome, reason, detail] of verdicts) {
  Deno.test(`judgeProbe: says ${reason} when the outcome is ${JSON.stringify(outcome)}`, () => {
    const verdict = judgeProbe(outcome, SUCCESS);
    strictEqual(verdict.reason, reason);
    ok(detail.test(verdict.detail) && verdict.detail.includes("moog:8888"), verdict.detail);
  });
}

const PROXY = { url: new URL(`http://user:${encodeURIComponent("p@ss")}@proxy.test:3128`), variable: "HTTPS_PROXY" };
const throughProxy: [FetchOutcome, string, RegExp][] = [
  [{ kind: "answered", status: 200 }, "healthy", /^moog:8888 \(through the proxy proxy\.test:3128\) answered 200$/],
  [{ kind: "answered", status: 407 }, "probe_rejected", /user and password in HTTPS_PROXY/],
  [{ kind: "answered", status: 503 }, "unhealthy", /through the proxy proxy\.test:3128/],
  [{ kind: "timeout" }, "timeout", /through the proxy proxy\.test:3128/],
  [{ kind: "dns" }, "dns", /^the proxy proxy\.test:3128 cannot be resolved.*HTTPS_PROXY/],
  [{ kind: "refused" }, "refused", /^the proxy proxy\.test:3128 refuses.*HTTPS_PROXY/],
  [{ kind: "proxy" }, "proxy", /^the proxy proxy\.test:3128 does not connect to moog:8888.*HTTPS_PROXY/],
  [{ kind: "unreachable" }, "unreachable", /through the proxy proxy\.test:3128.*HTTPS_PROXY/],
  [{ kind: "tls", flaw: "expired" }, "tls", /through the proxy proxy\.test:3128.*expired/],
];

for (const [outcome, reason, detail] of throughProxy) {
  Deno.test(`judgeProbe: names the proxy when the outcome through it is ${JSON.stringify(outcome)}`, () => {
    const verdict = judgeProbe(outcome, { ...SUCCESS, proxy: PROXY });
    strictEqual(verdict.reason, reason);
    ok(detail.test(verdict.detail), verdict.detail);
    ok(!/user:|p@ss|p%40ss/.test(verdict.detail), verdict.detail);
  });
}

Deno.test("judgeProbe: goes by the configured codes when they differ from the default", () => {
  strictEqual(judgeProbe({ kind: "answered", status: 202 }, { ...SUCCESS, successCodes: [200] }).reason, "probe_202");
  strictEqual(judgeProbe({ kind: "answered", status: 404 }, { ...SUCCESS, successCodes: [404] }).reason, "healthy");
});

Deno.test("formatProbe: has the original's payload when asked", () => {
  deepStrictEqual(JSON.parse(formatProbe(Date.UTC(2026, 0, 2, 3, 4, 5, 678))), {
    source: "MUTT_HEALTH_CHECK",
    description: "Health check probe - auto-close",
    severity: "clear",
    check_id: "health_check_1767323045",
    timestamp: "2026-01-02T03:04:05.678Z",
  });
});

async function headersSent(url: string, apiKey?: Secret): Promise<{ url: string; headers: Headers }> {
  const sent: { url: string; headers: Headers }[] = [];
  const fetch = (input: unknown, init?: RequestInit) => {
    sent.push({ url: String(input), headers: new Headers(init?.headers) });
    return Promise.resolve(new Response(null));
  };
  await sendProbe({
    url: new URL(url),
    apiKey,
    timeoutMs: 1000,
    clock: new TestClock(),
    signal: new AbortController().signal,
    fetch: fetch as typeof globalThis.fetch,
  });
  return sent[0]!;
}

Deno.test("sendProbe: sends the key as Bearer when one is set, even beside credentials in the URL", async () => {
  const { url, headers } = await headersSent("http://user:pass@moog/x?q=1", new Secret("k1"));
  strictEqual(headers.get("authorization"), "Bearer k1");
  strictEqual(headers.get("content-type"), "application/json");
  strictEqual(url, "http://moog/x?q=1");
});

Deno.test("sendProbe: sends the URL's credentials as Basic when no key is set", async () => {
  const { headers } = await headersSent("http://us%C3%A9r:p%25%@moog/");
  strictEqual(headers.get("authorization"), `Basic ${btoa("us\xc3\xa9r:p%%")}`);
});

Deno.test("sendProbe: sends no authorization when there is nothing to send", async () => {
  strictEqual((await headersSent("http://moog/")).headers.get("authorization"), null);
});
