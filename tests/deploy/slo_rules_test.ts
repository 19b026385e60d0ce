/**
 * `monitoring/prometheus/rules/slo.yml` by `promtool test rules`: what it records is what the service's own formulae say, and
 * each alert in both directions.
 */
import assert from "node:assert/strict";
import { stringify } from "yaml";
import { judgeSlo, SLO_NAMES } from "../../src/slo/objectives.ts";
import { SloMetrics } from "../../src/slo/metrics.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { ROOT } from "../../scripts/child.ts";
import { runProgram, withProgram } from "../../testkit/prometheus.ts";
import { readYaml } from "../../testkit/yaml.ts";

const FILE = "monitoring/prometheus/rules/slo.yml";
const WINDOWS = { "15m": 15, "1h": 60, "6h": 360, "24h": 1_440 };
const TARGET = 0.95;

interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

const GROUPS = readYaml<{ groups: { name: string; rules: Rule[] }[] }>(FILE)[0]!.groups;
const RULES = GROUPS.flatMap(({ rules }) => rules);
const ALERTS = RULES.flatMap(({ alert }) => alert ?? []);

/** Events and bad ones of each minute, from the first on; of one instance. Together a multiple of 5: then the rules are evaluated. */
type Minutes = readonly (readonly [minutes: number, events: number, bad: number])[];

interface Case {
  readonly when: string;
  /** By instance. */
  readonly counted: readonly Minutes[];
  /** Alerts that fire at the end. */
  readonly fire: readonly string[];
}

const CASES: readonly Case[] = [
  { when: "all is well", counted: [[[1_500, 12, 0]]], fire: [] },
  { when: "nothing happens", counted: [[[1_500, 0, 0]]], fire: [] },
  { when: "it burns 6.67 times for an hour and a half", counted: [[[90, 12, 4]]], fire: ["Fast", "Slow", "Spent"] },
  { when: "it burns 5 times", counted: [[[90, 12, 3]]], fire: ["Slow", "Spent"] },
  {
    when: "it burned for 40 minutes and has stopped 20 minutes ago",
    counted: [[[40, 12, 12], [20, 12, 0]]],
    fire: ["Slow", "Spent"],
  },
  { when: "a day was good before it burns for five minutes", counted: [[[1_500, 12, 0], [5, 12, 12]]], fire: [] },
  {
    when: "a day was good before it burns 5.5 times for an hour, most of it at its end",
    counted: [[[1_500, 12, 0], [45, 12, 0.4], [15, 12, 12]]],
    fire: [],
  },
  {
    when: "a day was good before it burns for an hour",
    counted: [[[1_500, 12, 0], [60, 12, 12]]],
    fire: ["Fast", "Slow"],
  },
  {
    when: "a day was good before it burns for two hours",
    counted: [[[1_500, 12, 0], [120, 12, 12]]],
    fire: ["Fast", "Slow", "Spent"],
  },
  { when: "it burns 2.5 times for seven hours", counted: [[[1_500, 16, 0], [420, 16, 2]]], fire: ["Slow"] },
  {
    when: "it burned 2.5 times for seven hours, and then not for an hour",
    counted: [[[420, 16, 2], [65, 16, 0]]],
    fire: [],
  },
  { when: "it burns 1.67 times all day", counted: [[[1_500, 12, 1]]], fire: ["Spent"] },
  { when: "it burns 0.8 times all day", counted: [[[1_500, 25, 1]]], fire: [] },
  { when: "18 events of the last hour are bad, where 20 are needed", counted: [[[60, 0.3, 0.3]]], fire: [] },
  { when: "21 events of the last hour are bad", counted: [[[60, 0.35, 0.35]]], fire: ["Fast", "Slow", "Spent"] },
  {
    when: "half of two replicas' events are bad",
    counted: [[[90, 12, 0]], [[90, 12, 12]]],
    fire: ["Fast", "Slow", "Spent"],
  },
  {
    when: "a leader's replays come back to the next one",
    counted: [[[90, 12, 0]], [[90, 0, 6]]],
    fire: ["Fast", "Slow", "Spent"],
  },
  { when: "more comes back than was replayed", counted: [[[90, 12, 30]]], fire: ["Fast", "Slow", "Spent"] },
];

const lengthOf = (minutes: Minutes) => minutes.reduce((sum, [length]) => sum + length, 0);

/** A counter minute by minute, from 0 on. */
function counter(minutes: Minutes, which: 1 | 2): string {
  let value = 0;
  const parts = minutes.map((part) => {
    const from = value + part[which];
    value += part[0] * part[which];
    return `${from}+${part[which]}x${part[0] - 1}`;
  });
  return ["0", ...parts].join(" ");
}

const LABELS = 'job="mutt-remediation", namespace="mutt", source="alerter", slo="redrive_success"';

function seriesOf(counted: readonly Minutes[]) {
  return counted.flatMap((minutes, at) => {
    const labels = `{${LABELS}, instance="${at}", pod="pod-${at}"}`;
    return [
      { series: `mutt_remediation_slo_events_total${labels}`, values: counter(minutes, 1) },
      { series: `mutt_remediation_slo_bad_events_total${labels}`, values: counter(minutes, 2) },
      { series: `mutt_remediation_slo_target${labels}`, values: `${TARGET}x${lengthOf(minutes)}` },
    ];
  });
}

/** What was counted in the last minutes, of all instances. */
function sumOf(counted: readonly Minutes[], lastMinutes: number) {
  let events = 0, bad = 0;
  for (const minutes of counted) {
    let left = lastMinutes;
    for (const [length, eventsEach, badEach] of minutes.toReversed()) {
      const taken = Math.min(left, length);
      events += taken * eventsEach;
      bad += taken * badEach;
      left -= taken;
    }
  }
  return { events, bad };
}

/** Registers a test for which promtool is told a test of the rules. */
function withPromtool(name: string, tests: () => unknown[]): void {
  withProgram("promtool", `${FILE}: ${name}`, async () => {
    const file = await Deno.makeTempFile({ suffix: ".yml" });
    try {
      // Without an order promtool takes the groups as they come, and an alert may see what was recorded the time before.
      const group_eval_order = GROUPS.map(({ name }) => name);
      const rules = { rule_files: [ROOT + FILE], evaluation_interval: "5m", group_eval_order };
      await Deno.writeTextFile(file, stringify({ ...rules, tests: tests() }));
      await runProgram("promtool", "test", "rules", file);
    } finally {
      await Deno.remove(file);
    }
  });
}

const nameOf = (short: string) => ALERTS.find((alert) => alert.endsWith(short))!;

for (const { when, counted, fire } of CASES) {
  const atMinute = lengthOf(counted[0]!);
  withPromtool(`fires ${fire.join(", ") || "nothing"} when ${when}`, () => [{
    interval: "1m",
    input_series: seriesOf(counted),
    // A count of what fires, because the annotations hold numbers; those are looked at below.
    promql_expr_test: [{
      expr: `count by (alertname, severity, job, namespace, source, slo) (ALERTS{alertstate="firing"})`,
      eval_time: `${atMinute}m`,
      exp_samples: fire.map(nameOf).map((alertname) => ({
        labels: `{alertname="${alertname}", severity="${severityOf(alertname)}", ${LABELS}}`,
        value: 1,
      })),
    }],
  }]);
}

function severityOf(alert: string): string {
  return RULES.find((rule) => rule.alert === alert)!.labels!.severity!;
}

Deno.test(`${FILE}: each alert is tested in both directions`, () => {
  assert.equal(ALERTS.length, 3);
  for (const alert of ALERTS) {
    const firing = CASES.filter(({ fire }) => fire.some((short) => alert.endsWith(short)));
    assert.ok(firing.length > 0 && firing.length < CASES.length, alert);
  }
});

withPromtool("records what the service's own formulae say", () =>
  CASES.map(({ counted }) => ({
    interval: "1m",
    input_series: seriesOf(counted),
    promql_expr_test: Object.entries(WINDOWS).flatMap(([window, minutes]) => {
      const atMinute = lengthOf(counted[0]!);
      // Of a window that is not full `increase` makes up a little; of a full one it is exact.
      if (atMinute < minutes) return [];
      const { availability, burnRate } = judgeSlo(sumOf(counted, minutes), TARGET);
      const expect = (expr: string, value: number | null) => ({
        expr: `round(${expr}, 1e-6)`,
        eval_time: `${atMinute}m`,
        exp_samples: value === null ? [] : [{ labels: `{${LABELS}}`, value: Math.round(value * 1e6) / 1e6 }],
      });
      return [
        expect(`mutt:slo:remediation:${window}`, availability),
        expect(`mutt:slo:remediation_error_budget_burn_rate:${window}`, burnRate),
      ];
    }),
  })));

withPromtool("tells an alert in words, with its way out", () => [{
  interval: "1m",
  external_labels: { mutt_runbooks: "https://git.example.com" },
  input_series: seriesOf([[[90, 12, 4]]]),
  alert_rule_test: [{
    eval_time: "90m",
    alertname: "MUTTRemediationSLOBurnFast",
    exp_alerts: [{
      exp_labels: {
        ...{ severity: "critical", kind: "symptom", job: "mutt-remediation", namespace: "mutt" },
        ...{ source: "alerter", slo: "redrive_success" },
      },
      exp_annotations: {
        summary: "redrive_success of alerter uses up its error budget 6.667 times too fast",
        description: RULES.find(({ alert }) => alert?.endsWith("Fast"))!.annotations!.description!,
        runbook_url: "https://git.example.com/docs/operations.md#muttremediationsloburnfast",
      },
    }],
  }],
}]);

Deno.test(`${FILE}: the rules of each window are the same`, () => {
  const rulesOf = (window: string) =>
    RULES.filter(({ record }) => record?.endsWith(`:${window}`)).map(({ record, expr }) =>
      `${record} = ${expr}`.replaceAll(window, "W")
    );
  assert.equal(rulesOf("1h").length, 3);
  for (const window of Object.keys(WINDOWS)) assert.deepEqual(rulesOf(window), rulesOf("1h"), window);
});

Deno.test(`${FILE}: asks for nothing that the service does not export`, async () => {
  const metrics = new Metrics({
    ...{ sources: [{ name: "alerter", gates: ["downstream"], queues: [] }], commitResults: [], redisErrorCodes: [] },
    ...{ version: "1", commit: "c" },
    more: [
      new SloMetrics({ time_to_drain: 0.9, oldest_age: 0.9, redrive_success: 0.9, downstream_availability: 0.9 }),
    ],
    readProcessUsage: () => ({ residentBytes: 1, cpuSeconds: 1, startedAtSeconds: 1 }),
  });
  const text = await metrics.render();
  const asked = new Set(RULES.flatMap(({ expr }) => expr.match(/\bmutt_remediation_\w+/g) ?? []));
  assert.deepEqual([...asked].sort(), [
    "mutt_remediation_slo_bad_events_total",
    "mutt_remediation_slo_events_total",
    "mutt_remediation_slo_target",
  ]);
  for (const name of asked) {
    for (const slo of SLO_NAMES) {
      assert.ok(text.includes(`\n${name}{source="alerter",slo="${slo}"} `), `${name} ${slo}`);
    }
  }
});
