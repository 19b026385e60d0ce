import assert from "node:assert/strict";
import { knownVariables } from "../../../src/config/fields.ts";
import { parseSettings } from "../../../src/config/load.ts";
import { UNREAD_TEMPLATE_NAMES } from "../../../src/config/template_names.ts";
import { countEdits, warnOfUnknown } from "../../../src/config/unknown.ts";
import { MUTT_ENVIRONMENT } from "./mutt_environment.ts";

const NAMES: readonly (readonly [name: string, warning: string | null])[] = [
  ["REMEDIATION_INTERVALL", "REMEDIATION_INTERVALL is unknown and ignored: did you mean REMEDIATION_INTERVAL?"],
  ["REMEDIATION_BATCHSIZE", "REMEDIATION_BATCHSIZE is unknown and ignored: did you mean REMEDIATION_BATCH_SIZE?"],
  ["REMEDIATION_PORT", "REMEDIATION_PORT is unknown and ignored: did you mean REMEDIATION_API_PORT?"],
  ["REMEDIATION_HEARTBEAT", "REMEDIATION_HEARTBEAT is unknown and ignored"],
  ["MAX_POISON_RETRIE", "MAX_POISON_RETRIE is unknown and ignored: did you mean MAX_POISON_RETRIES?"],
  ["MOOG_WEBHOOK_ULR", "MOOG_WEBHOOK_ULR is unknown and ignored: did you mean MOOG_WEBHOOK_URL?"],
  ["REDIS_PASS_CURRENT_FLIE", "REDIS_PASS_CURRENT_FLIE is unknown and ignored: did you mean REDIS_PASS_CURRENT_FILE?"],
  ["REMEDIATION_INTERVAL", null],
  ["REMEDIATION_SERVICE_HOST", null],
  ["REMEDIATION_SERVICE_PORT_METRICS", null],
  ["REMEDIATION_PORT_8086_TCP_ADDR", null],
  ["LOGLEVEL", null],
  ["PATH", null],
];

for (const [name, warning] of NAMES) {
  Deno.test(`warnOfUnknown: ${warning ? "warns of" : "says nothing of"} ${name}`, () => {
    assert.deepEqual(warnOfUnknown([name, name]), warning === null ? [] : [warning]);
  });
}

Deno.test("parseSettings: says nothing of what Kubernetes sets for a Service named remediation, in whatever protocol", () => {
  const links = {
    REMEDIATION_PORT: "tcp://10.0.0.1:8086",
    REMEDIATION_PORT_8086_TCP: "tcp://10.0.0.1:8086",
    REMEDIATION_PORT_8086_SCTP_PORT: "8086",
    REMEDIATION_METRICS_PORT: "udp://10.0.0.1:8086",
    REMEDIATION_SERVICE_HOST: "10.0.0.1",
    REMEDIATION_SERVICE_PORT: "8086",
  };
  const of = (environment: Record<string, string>) => parseSettings({ environment, dotEnv: {}, readFile: () => "" });
  assert.deepEqual(of(links).warnings, []);
  assert.deepEqual(of({ REMEDIATION_PORT: "8087" }).warnings, [
    "REMEDIATION_PORT is unknown and ignored: did you mean REMEDIATION_API_PORT?",
  ]);
});

Deno.test("warnOfUnknown: of MUTT's other variables warns of those that its template has, its code does not read, and mean something here", () => {
  const [warning = "", ...others] = warnOfUnknown(Object.keys(MUTT_ENVIRONMENT));
  assert.deepEqual(others, []);
  assert.deepEqual(warning.slice(IGNORED.length).split(", ").toSorted(), [
    "ALERTER_QUEUE_WARN_THRESHOLD (use REMEDIATION_TARGET_MAX_DEPTH)",
    "LOG_FORMAT (use LOG_JSON_ENABLED)",
    "RATE_LIMIT_KEY (use MOOG_RATE_LIMIT_KEY)",
    "RATE_LIMIT_MAX_REQUESTS (use MOOG_RATE_LIMIT)",
    "RATE_LIMIT_WINDOW_SECONDS (use MOOG_RATE_PERIOD)",
    "REDIS_TLS_CA_CERT (use REDIS_CA_CERT_PATH)",
    "REDIS_TLS_CLIENT_CERT (use REDIS_CLIENT_CERT_PATH)",
    "REDIS_TLS_CLIENT_KEY (use REDIS_CLIENT_KEY_PATH)",
  ]);
});

const IGNORED = "Ignored names from MUTT's template, which MUTT itself does not read: ";

for (const [name, meant] of UNREAD_TEMPLATE_NAMES) {
  Deno.test(`warnOfUnknown: warns of ${name}, which MUTT's template has in vain, until ${meant} is set`, () => {
    assert.ok(knownVariables().includes(meant), meant);
    assert.ok(!knownVariables().includes(name), name);
    assert.deepEqual(warnOfUnknown([name]), [`${IGNORED}${name} (use ${meant})`]);
    assert.deepEqual(warnOfUnknown([name, meant]), []);
  });
}

Deno.test("warnOfUnknown: names a hundred at most, and shows no whole name that is none", () => {
  const names = Array.from({ length: 20_000 }, (_, at) => `REMEDIATION_${at}_SOMETHING`);
  const warnings = warnOfUnknown(names);
  assert.equal(warnings.length, 101);
  assert.equal(warnings.at(-1), "there may be more unknown variables");
  assert.deepEqual(warnOfUnknown([`REMEDIATION_${"A".repeat(1_000_000)}`, "REMEDIATION_\r\n\u2028"]), [
    `"REMEDIATION_${"A".repeat(68)}…" is unknown and ignored`,
    '"REMEDIATION_\\r\\n\\u2028" is unknown and ignored',
  ]);
});

Deno.test("countEdits: counts letters put in, taken out and replaced", () => {
  assert.deepEqual(
    [["", ""], ["", "abc"], ["abc", ""], ["kitten", "sitting"], ["flaw", "lawn"], ["same", "same"]]
      .map(([from, to]) => countEdits(from!, to!)),
    [0, 3, 3, 3, 2, 0],
  );
});
