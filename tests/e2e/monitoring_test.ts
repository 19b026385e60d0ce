/**
 * `monitoring/` against a real Prometheus that scrapes the real service through an incident: every rule and every query of the
 * dashboard answers with data, and alerts fire. The windows are as they are shipped; only the alerts' `for` is shortened.
 */
import assert from "node:assert/strict";
import { stringify } from "yaml";
import { createOurs } from "../../demo/simulator/contenders.ts";
import type { Incident, World } from "../../demo/simulator/incidents.ts";
import { playIncident } from "../../demo/simulator/simulate.ts";
import { filesIn } from "../../scripts/child.ts";
import { ANNOTATIONS, CHOICES, ROWS } from "../../scripts/dashboard.ts";
import { startInbox } from "../../testkit/inbox.ts";
import { type Series, startPrometheus, type TestPrometheus, withProgram } from "../../testkit/prometheus.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { readYaml } from "../../testkit/yaml.ts";
import { freePort } from "../../scripts/free_port.ts";

const HEALTHY: World = { moogStatus: 200, moogLatencyMs: 300, isDatabaseUp: true, failedInserts: 0 };

/** The alerter's database and Moogsoft are away at the same time: dead letters come, and cannot go. */
const INCIDENT: Incident = {
  name: "database-and-moogsoft-down",
  title: "Database and Moogsoft are down for 10 minutes",
  forwarders: 1,
  rate: { limit: 3_000, periodSeconds: 60 },
  world: HEALTHY,
  streams: [
    { fromMinute: 0, toMinute: 22, perMinute: 40, kind: "healthy" },
    { fromMinute: 0, toMinute: 12, perMinute: 2, kind: "poison" },
  ],
  changes: [
    { atMinute: 2, world: { isDatabaseUp: false, moogStatus: 503 }, says: "both are down" },
    { atMinute: 12, world: HEALTHY, says: "both are back" },
  ],
  faultEndsAtMinute: 22,
  endsAtMinute: 26,
};

/** Fire in the incident, and after it, when the service has ended. */
const FIRE_MEANWHILE = ["MUTTRemediationDLQGrows", "MUTTRemediationMoogsoftUnhealthy"];
const FIRES_AFTERWARDS = "MUTTRemediationDown";

interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
}

const RULE_GROUPS = filesIn("monitoring/prometheus/rules", ".yml")
  .flatMap((path) => readYaml<{ groups: { name: string; rules: Rule[] }[] }>(path)[0]!.groups);
const RULES = RULE_GROUPS.flatMap(({ rules }) => rules);

/** What an expression reads: names of series, with the matchers that are written behind them. */
function selectorsOf(expr: string): string[] {
  return [...expr.matchAll(/\b(?:\w+:)*(?:mutt\w*|up(?=\{)|process\w+)(?::\w+)*(?:\{[^}]*\})?/g)].map(([text]) => text);
}

/** As Grafana would send it, everything chosen. */
function asSent(expr: string): string {
  return expr.replaceAll("$namespace", ".*").replaceAll("$source", ".+").replaceAll("$__rate_interval", "5s");
}

function labelsOf(legend: string): string[] {
  return [...legend.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label!);
}

function hasNumber({ values }: Series): boolean {
  return values.some(([, value]) => Number.isFinite(Number(value)));
}

/** One of a service in a namespace of Kubernetes, with every rule. */
function configuration(metricsPort: number, rulesPath: string): string {
  return stringify({
    global: { scrape_interval: "1s", evaluation_interval: "1s" },
    rule_files: [rulesPath],
    scrape_configs: [{
      job_name: "mutt-remediation",
      static_configs: [{ targets: [`127.0.0.1:${metricsPort}`], labels: { namespace: "mutt" } }],
    }],
  });
}

function quickRules(): string {
  const groups = RULE_GROUPS.map(({ rules, ...group }) => ({
    ...group,
    rules: rules.map((rule) => rule.alert ? { ...rule, for: "1s" } : rule),
  }));
  return stringify({ groups });
}

/** What is asked again and again comes from one place, so that a failure shows all that is empty. */
class Findings {
  readonly #empty: string[] = [];
  readonly #prometheus: TestPrometheus;
  readonly #span: { fromMs: number; toMs: number };

  constructor(prometheus: TestPrometheus, span: { fromMs: number; toMs: number }) {
    this.#prometheus = prometheus;
    this.#span = span;
  }

  /** Every label that is named must be on every series. */
  async expectData(what: string, expr: string, labels: readonly string[] = []): Promise<void> {
    const found = (await this.#prometheus.queryRange(expr, this.#span)).filter(hasNumber);
    if (found.length === 0) this.#empty.push(`${what}: no data: ${expr}`);
    const missing = labels.filter((label) => !found.every(({ metric }) => label in metric));
    if (missing.length > 0) this.#empty.push(`${what}: no label ${missing}`);
  }

  check(): void {
    assert.deepEqual(this.#empty, []);
  }
}

async function expectEveryRule(prometheus: TestPrometheus, findings: Findings): Promise<void> {
  const loaded = await prometheus.rules();
  assert.equal(loaded.length, RULES.length);
  assert.deepEqual(loaded.filter(({ health }) => health !== "ok").map(({ name, lastError }) => [name, lastError]), []);
  for (const { alert, record, expr } of RULES) {
    if (record) await findings.expectData(record, record);
    for (const selector of selectorsOf(expr)) await findings.expectData(`${alert ?? record} reads`, selector);
  }
}

async function expectEveryQuery(findings: Findings): Promise<void> {
  for (const { title, queries } of ROWS.flatMap(({ panels }) => panels)) {
    for (const { expr, legend } of queries) await findings.expectData(title, asSent(expr), labelsOf(legend));
  }
  for (const { name, expr, title } of ANNOTATIONS) {
    await findings.expectData(name, `(${asSent(expr)}) > 0`, labelsOf(title).filter((label) => label !== "source"));
  }
  for (const { name, metric } of CHOICES) {
    await findings.expectData(name, `group by (${name}) (${asSent(metric)})`, [name]);
  }
}

withProgram("prometheus", "monitoring: every rule and panel has data in an incident, and alerts fire", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const metricsPort = freePort();
    await Deno.writeTextFile(`${dir}/rules.yml`, quickRules());
    await using prometheus = await startPrometheus(configuration(metricsPort, `${dir}/rules.yml`), dir);
    await using inbox = await startInbox({ dir, types: ["webhook"] });
    const env = { METRICS_PORT_REMEDIATION: String(metricsPort), REMEDIATION_NOTIFY_PATH: inbox.path };
    const fromMs = Date.now();
    const [column] = await playIncident(INCIDENT, {
      contenders: [createOurs("alerter,moog", { env })],
      seed: 1,
      signal: AbortSignal.timeout(60_000),
      tell: () => {},
    });
    assert.ok(column!.result.account.entered > 0);
    const down = await waitUntil(
      async () =>
        (await prometheus.alerts()).find(({ labels, state }) =>
          labels.alertname === FIRES_AFTERWARDS && state === "firing"
        ),
      { what: "the alert of a service that has ended is there", timeoutMs: 20_000 },
    );
    assert.doesNotMatch(JSON.stringify(down.annotations), /no value|error/i);
    const span = { fromMs, toMs: Date.now() };
    const fired = (await prometheus.queryRange('ALERTS{alertstate="firing"}', span))
      .map(({ metric }) => metric.alertname!);
    for (const alert of FIRE_MEANWHILE) assert.ok(fired.includes(alert), `${alert} is not among ${fired}`);
    const findings = new Findings(prometheus, span);
    await expectEveryRule(prometheus, findings);
    await expectEveryQuery(findings);
    findings.check();
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
