/**
 * Every alert of `monitoring/prometheus/rules/remediation.yml` in both directions, by `promtool test rules`: it fires when it
 * should, and not for another replica, source, namespace or cause. That it waits as long as its `for` says is Prometheus' part.
 */
import assert from "node:assert/strict";
import { stringify } from "yaml";
import { filesIn } from "../../scripts/child.ts";
import { GATE_NAMES } from "../../src/gates/gate.ts";
import { runProgram, withProgram } from "../../testkit/prometheus.ts";
import { readYaml } from "../../testkit/yaml.ts";

const RULES = "monitoring/prometheus/rules";
const FILE = `${RULES}/remediation.yml`;

type Labels = Readonly<Record<string, string>>;

interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly labels?: Labels;
  readonly annotations?: Labels;
}

interface RuleGroup {
  readonly name: string;
  readonly rules: readonly Rule[];
}

const groupsOf = (path: string) => readYaml<{ groups: RuleGroup[] }>(path)[0]!.groups;
const ALERTS = groupsOf(FILE).flatMap(({ rules }) => rules).filter(({ alert }) => alert !== undefined);

/** A series: its name with labels, and its values minute by minute, in promtool's notation. */
type Series = readonly [name: string, values: string];

/** What is there, and whether the alert fires at that minute. */
interface Case {
  readonly when: string;
  readonly series: readonly Series[];
  readonly minute: number;
  /** Labels of each firing alert beyond its own and the job (`""`: it has none); none: it does not fire. */
  readonly fires?: readonly Labels[];
}

const JOB = "mutt-remediation";

/** `a` is an instance. */
function series(metric: string, labels: Labels, values: string): Series {
  const list = Object.entries({ job: JOB, ...labels }).map(([name, value]) => `${name}="${value}"`);
  return [`${metric}{${list.join(",")}}`, values];
}

const alerter = { source: "alerter" }, a = { instance: "a" }, b = { instance: "b" };
/** What the service exports as long as it is scraped; a scrape that fails ends it at once, as Prometheus does. */
const info = (instance: Labels, values: string) =>
  series("mutt_remediation_build_info", { ...instance, version: "0.1.0", commit: "c" }, values);
const up = (instance: Labels, values: string) => series("up", instance, values);
/** The job of all pods that are found by their annotations. */
const pods: Labels = { job: "kubernetes-pods", namespace: "mutt" };
const leader = (instance: Labels, values = "1x200", source: Labels = alerter) =>
  series("mutt_remediation_leader", { ...instance, ...source }, values);
const gate = (name: string, instance: Labels, values: string, source: Labels = alerter) =>
  series("mutt_remediation_gate_open", { ...instance, ...source, gate: name }, values);
const depth = (instance: Labels, values: string) =>
  series("mutt_remediation_queue_depth", { ...instance, ...alerter, role: "dlq", queue: "mutt:dlq:alerter" }, values);
const commits = (result: string, values: string) =>
  series("mutt_remediation_commits_total", { ...a, ...alerter, result }, values);
const brake = (state: string, values: string, instance: Labels = a) =>
  series("mutt_remediation_brake_state", { ...instance, ...alerter, state }, values);
const brakeReason = (reason: string, instance: Labels = a) =>
  series("mutt_remediation_brake_reason", { ...instance, ...alerter, reason }, "1x200");
const dead = (reason: string, values: string, instance: Labels = a) =>
  series("mutt_remediation_dead_total", { ...instance, ...alerter, reason }, values);
const deadList = (values: string) =>
  series("mutt_remediation_queue_depth", { ...a, ...alerter, role: "dead", queue: "mutt:dlq:dead" }, values);
const oldest = (instance: Labels, values: string) =>
  series("mutt_remediation_oldest_age_seconds", { ...instance, ...alerter }, values);
const moved = (replayed: string, died = "0x200") => [
  series("mutt_remediation_replayed_total", { ...a, ...alerter }, replayed),
  dead("malformed", died),
];
const rejected = (values: string) =>
  series("mutt_remediation_config_reloads_total", { ...a, result: "rejected" }, values);
const notices = (result: string, values: string) =>
  series("mutt_remediation_notices_total", { ...a, receiver: "ops", result }, values);
const reconnects = (values: string) => series("mutt_remediation_redis_reconnects_total", a, values);
const poisonRate = (instance: Labels, values: string) =>
  series("mutt_remediation_poison_messages_total", instance, values);

/** A gate that is closed at once, and nothing else that matters. */
const closed = (name: string) => [leader(a), gate(name, a, "0x200")];
const bySource = (name: string) => [{ ...alerter, gate: name }];
/** Open in one of so many minutes. */
const openOnceIn = (minutes: number) => Array(20).fill([1, ...Array(minutes - 1).fill(0)].join(" ")).join(" ");
const inNamespace = (namespace: string): Labels => ({ namespace, instance: "a" });

/** Cases of a gate that opens and closes as messages flow, and goes by its average. */
function averagedGate(name: string, extra: readonly Series[] = []): Case[] {
  const common = [leader(a), ...extra];
  return [
    {
      when: "it closed 20 minutes ago",
      series: [...common, gate(name, a, "1x10 0x30")],
      minute: 30,
      fires: bySource(name),
    },
    {
      when: "it opens for one minute in 16",
      series: [...common, gate(name, a, openOnceIn(16))],
      minute: 60,
      fires: bySource(name),
    },
    { when: "it opens for one minute in 8", series: [...common, gate(name, a, openOnceIn(8))], minute: 60 },
  ];
}

/** Cases of a gate that stays as it is for a while: told by the leader's, `minutes` after it has closed. */
function steadyGate(name: string, minutes: number): Case[] {
  const [off, on] = [0, 1].map((value) => `${value}x${Math.max(200, minutes + 60)}`) as [string, string];
  return [
    {
      when: "it is closed for long",
      series: [leader(a, on), gate(name, a, off)],
      minute: minutes,
      fires: bySource(name),
    },
    {
      when: "it is closed on whoever stands by",
      series: [leader(a, on), leader(b, off), gate(name, a, on), gate(name, b, off)],
      minute: minutes + 5,
    },
    {
      when: "nobody leads, and one of two tells so",
      series: [leader(a, off), leader(b, off), gate(name, a, on), gate(name, b, off)],
      minute: minutes,
      fires: bySource(name),
    },
    {
      when: "it is closed for one of two sources in one of two namespaces",
      series: ["one", "two"].flatMap((namespace) => {
        const instance = inNamespace(namespace);
        return [
          ...[leader(instance, on), leader(instance, on, { source: "moog" })],
          gate(name, instance, namespace === "one" ? off : on),
          gate(name, instance, on, { source: "moog" }),
        ];
      }),
      minute: minutes,
      fires: bySource(name).map((labels) => ({ ...labels, namespace: "one" })),
    },
  ];
}

const STUCK = [leader(a), depth(a, "5x200"), gate("redis", a, "1x200"), gate("depth", a, "1x200")];

const CASES: Readonly<Record<string, readonly Case[]>> = {
  MUTTRemediationDown: [
    { when: "the only instance is down for 2 minutes", series: [info(a, "1 stale")], minute: 3, fires: [{}] },
    { when: "there is no instance at all", series: [up(a, "0x9")], minute: 2, fires: [{ job: "" }] },
    {
      when: "the last one was seen more than a day ago",
      series: [info(a, "1 stale")],
      minute: 1_444,
      fires: [{ job: "" }],
    },
    { when: "it runs on after an update", series: [info(a, "1x3 stale"), info(b, "_x4 1x9")], minute: 9 },
    { when: "one of two is down", series: [info(a, "1 stale"), info(b, "1x9")], minute: 9 },
    {
      when: "it is down in one of two namespaces",
      series: [info(inNamespace("one"), "1 stale"), info(inNamespace("two"), "1x9")],
      minute: 5,
      fires: [{ namespace: "one" }],
    },
    {
      when: "pods are found by their annotations, and ours runs",
      series: [up({ ...a, ...pods }, "1x9"), up({ ...b, ...pods }, "1x9"), info({ ...a, ...pods }, "1x9")],
      minute: 9,
    },
    {
      when: "pods are found by their annotations, and ours is gone",
      series: [up({ ...b, ...pods }, "1x9"), info({ ...a, ...pods }, "1 stale")],
      minute: 5,
      fires: [pods],
    },
  ],
  MUTTRemediationInstanceDown: [
    {
      when: "one of two is down",
      series: [up(a, "1 0x9"), info(a, "1 stale"), up(b, "1x9"), info(b, "1x9")],
      minute: 6,
      fires: [a],
    },
    {
      when: "one of two is down, found as a pod among others' that are down too",
      series: [a, b, { instance: "other" }].map((one) => up({ ...one, ...pods }, one === b ? "1x9" : "1 0x9"))
        .concat([info({ ...a, ...pods }, "1 stale"), info({ ...b, ...pods }, "1x9")]),
      minute: 6,
      fires: [{ ...a, ...pods }],
    },
    {
      when: "one of two cannot use Redis",
      series: [gate("redis", a, "0x9"), gate("redis", b, "1x9")],
      minute: 5,
      fires: [a],
    },
    {
      when: "both are down",
      series: [a, b].flatMap((one) => [up(one, "1 0x9"), info(one, "1 stale")]),
      minute: 9,
    },
    { when: "none can use Redis", series: [gate("redis", a, "0x9"), gate("redis", b, "0x9")], minute: 9 },
  ],
  MUTTRemediationNoLeader: [
    {
      when: "two stand by for 2 minutes",
      series: [a, b].flatMap((on) => [leader(on, "0x9"), gate("redis", on, "1x9"), gate("enabled", on, "1x9")]),
      minute: 2,
      fires: [alerter],
    },
    {
      when: "another leads",
      series: [leader(a, "0x9"), leader(b, "1x9"), gate("redis", a, "1x9"), gate("enabled", a, "1x9")],
      minute: 9,
    },
    {
      when: "Redis is gone, which is told by itself",
      series: [leader(a, "0x9"), gate("redis", a, "0x9"), gate("enabled", a, "1x9")],
      minute: 9,
    },
    {
      when: "replay is switched off, so that nobody wants to lead",
      series: [leader(a, "0x9"), gate("redis", a, "1x9"), gate("enabled", a, "0x9")],
      minute: 9,
    },
  ],
  MUTTRemediationTwoLeaders: [
    { when: "two lead for 2 minutes", series: [leader(a), leader(b)], minute: 2, fires: [alerter] },
    { when: "each leads another source", series: [leader(a), leader(b, "1x200", { source: "moog" })], minute: 9 },
    { when: "one takes over from the other", series: [leader(a, "1x4 0x9"), leader(b, "0x3 1x9")], minute: 9 },
  ],
  MUTTRemediationRedisReconnects: [
    { when: "there were four in 15 minutes", series: [reconnects("0x10 1 2 3 4x20")], minute: 20, fires: [a] },
    { when: "there were three", series: [reconnects("0x10 1 2 3x20")], minute: 20 },
    { when: "the four were long ago", series: [reconnects("0x10 1 2 3 4x40")], minute: 45 },
  ],
  MUTTRemediationConfigRejected: [
    { when: "one was refused", series: [rejected("0x5 1x100")], minute: 10, fires: [{}] },
    { when: "one was refused before the first scrape", series: [rejected("1x100")], minute: 10, fires: [{}] },
    { when: "none was", series: [rejected("0x100")], minute: 70 },
    { when: "one was refused more than an hour ago", series: [rejected("0x5 1x100")], minute: 70 },
  ],
  MUTTRemediationNotices: [
    {
      when: "five tries failed in 30 minutes",
      series: [notices("failed", "0x20 5x60")],
      minute: 30,
      fires: [{ receiver: "ops" }],
    },
    { when: "three did", series: [notices("failed", "0x20 3x60")], minute: 30 },
    {
      when: "one was taken meanwhile",
      series: [notices("failed", "0x20 5x60"), notices("sent", "0x22 1x60")],
      minute: 30,
    },
    { when: "they failed long ago", series: [notices("failed", "0x5 5x90")], minute: 60 },
  ],
  MUTTRemediationConflicts: [
    {
      when: "11 of 21 commits fail so",
      series: [commits("conflict", "0x20 11x30"), commits("ok", "0x20 10x30")],
      minute: 30,
      fires: [alerter],
    },
    { when: "10 commits do", series: [commits("conflict", "0x20 10x30"), commits("ok", "0x50")], minute: 30 },
    {
      when: "11 of 22 commits do",
      series: [commits("conflict", "0x20 11x30"), commits("ok", "0x20 11x30")],
      minute: 30,
    },
  ],
  MUTTRemediationSwitchedOff: steadyGate("enabled", 60),
  MUTTRemediationPaused: steadyGate("pause", 120),
  MUTTRemediationWindow: steadyGate("window", 1_440),
  MUTTRemediationRedisUnusable: [
    {
      when: "none can for 2 minutes",
      series: [a, b].map((on) => gate("redis", on, "0x9")),
      minute: 2,
      fires: [alerter],
    },
    { when: "one of two cannot", series: [gate("redis", a, "0x9"), gate("redis", b, "1x9")], minute: 9 },
  ],
  MUTTRemediationConsumerGone: steadyGate("consumer", 5),
  MUTTRemediationMoogsoftUnhealthy: steadyGate("downstream", 10),
  MUTTRemediationBreakerOpen: averagedGate("breaker"),
  MUTTRemediationQueuesFull: [
    ...averagedGate("depth", [depth(a, "1x200")]),
    { when: "no dead letter waits", series: [...closed("depth"), depth(a, "0x200")], minute: 60 },
  ],
  MUTTRemediationRateLimitUsedUp: [
    ...averagedGate("pace", [depth(a, "1x200")]),
    { when: "no dead letter waits", series: [...closed("pace"), depth(a, "0x200")], minute: 60 },
  ],
  MUTTRemediationReturns: [
    {
      when: "canary groups have come back for 15 minutes",
      series: [
        ...[leader(a), brakeReason("returns")],
        ...[brake("canary", "1 0 0 1 0 0 1x30"), brake("suspect", "0 1 1 0 1 1 0x30")],
      ],
      minute: 15,
      fires: [alerter],
    },
    {
      when: "a group stayed away in between",
      series: [leader(a), brakeReason("returns"), brake("canary", "1x10 0 1x30"), brake("suspect", "0x40")],
      minute: 20,
    },
    {
      when: "a canary group goes after an outage",
      series: [leader(a), brakeReason("outage"), brake("canary", "1x40")],
      minute: 30,
    },
    {
      when: "an instance without Redis still tells of the past",
      series: [
        ...[leader(a), brakeReason("stayed_away"), brake("canary", "0x40")],
        ...[leader(b, "0x200"), brakeReason("returns", b), brake("canary", "1x40", b)],
      ],
      minute: 30,
    },
  ],
  MUTTRemediationProbeFlaps: [
    {
      when: "it has closed and opened three times",
      series: [gate("downstream", a, "1 0 1 0 1 0 1x30"), gate("downstream", b, "1 0 1 0 1 0 1x30")],
      minute: 10,
      fires: [alerter],
    },
    {
      when: "it has closed three times and opened twice",
      series: [gate("downstream", a, "1 0 1 0 1 0x30")],
      minute: 10,
    },
    { when: "that was long ago", series: [gate("downstream", a, "1 0 1 0 1 0 1x60")], minute: 45 },
  ],
  MUTTRemediationDLQGrows: [
    { when: "20 more come every minute", series: [leader(a), depth(a, "0+20x60")], minute: 16, fires: [alerter] },
    { when: "90 more come in half an hour", series: [leader(a), depth(a, "0+3x120")], minute: 100 },
    { when: "120 more come in half an hour", series: [leader(a), depth(a, "0+4x120")], minute: 100, fires: [alerter] },
    { when: "500 came at once and are worked off", series: [leader(a), depth(a, "0x5 500-10x50")], minute: 25 },
    {
      when: "a replica sees what the leader does not",
      series: [leader(a), leader(b, "0x200"), depth(a, "0x60"), depth(b, "0+20x60")],
      minute: 30,
    },
  ],
  MUTTRemediationOldestAge: [
    {
      when: "it is over an hour for 10 minutes",
      series: [leader(a), oldest(a, "3601x20")],
      minute: 10,
      fires: [alerter],
    },
    { when: "it is an hour", series: [leader(a), oldest(a, "3600x20")], minute: 20 },
    {
      when: "a replica without Redis tells of one that has gone since",
      series: [leader(a), leader(b, "0x200"), oldest(a, "0x20"), oldest(b, "9999x20")],
      minute: 20,
    },
  ],
  MUTTRemediationStuck: [
    { when: "nothing has moved for 30 minutes", series: [...STUCK, ...moved("7x200")], minute: 31, fires: [alerter] },
    {
      when: "whoever stands by has moved nothing either",
      series: [...STUCK, ...moved("7x200"), leader(b, "0x200"), gate("leader", b, "0x200"), depth(b, "5x200")],
      minute: 31,
      fires: [alerter],
    },
    {
      when: "something moves every 30 minutes",
      series: [...STUCK, ...moved("0x29 1x29 2x29 3x29 4x200")],
      minute: 120,
    },
    {
      when: "something dies every 30 minutes",
      series: [...STUCK, ...moved("7x200", "0x29 1x29 2x29 3x200")],
      minute: 90,
    },
    {
      when: "a gate was closed a while ago",
      series: [...STUCK, gate("returns", a, "1x10 0 1x200"), ...moved("7x200")],
      minute: 35,
    },
    {
      when: "nothing waits",
      series: [leader(a), depth(a, "0x200"), gate("redis", a, "1x200"), ...moved("7x200")],
      minute: 90,
    },
  ],
  MUTTHighPoisonMessageRate: [
    { when: "seven die a minute", series: [poisonRate(a, "0+7x30")], minute: 15, fires: [{}] },
    {
      when: "four die a minute on each of two",
      series: [poisonRate(a, "0+4x30"), poisonRate(b, "0+4x30")],
      minute: 15,
      fires: [{}],
    },
    { when: "six do", series: [poisonRate(a, "0+6x30")], minute: 30 },
  ],
  MUTTRemediationPoison: [
    { when: "11 in an hour", series: [dead("poison", "0x5 11x70")], minute: 11, fires: [alerter] },
    {
      when: "six in an hour on each of two that have led",
      series: [dead("poison", "0x5 6x70"), dead("poison", "0x5 6x70", b)],
      minute: 11,
      fires: [alerter],
    },
    { when: "10 in an hour", series: [dead("poison", "0x5 10x70")], minute: 30 },
    { when: "11 that were malformed", series: [dead("malformed", "0x5 11x70")], minute: 30 },
  ],
  MUTTRemediationDeadListGrows: [
    {
      when: "51 more in an hour",
      series: [leader(a), deadList("9x5 60x60")],
      minute: 11,
      fires: [{ queue: "mutt:dlq:dead" }],
    },
    { when: "50 more", series: [leader(a), deadList("9x5 59x60")], minute: 30 },
    { when: "somebody empties it", series: [leader(a), deadList("500x5 0x60")], minute: 30 },
  ],
};

Deno.test("alerts: each is tested where it fires and where it does not", () => {
  assert.deepEqual(Object.keys(CASES).sort(), ALERTS.map(({ alert }) => alert).sort());
  for (const [alert, cases] of Object.entries(CASES)) {
    for (const fires of [true, false]) {
      assert.ok(
        cases.some((one) => (one.fires !== undefined) === fires),
        `${alert}: no case in which fires is ${fires}`,
      );
    }
  }
});

Deno.test("alerts: there is one for every gate", () => {
  const named = ALERTS.flatMap(({ expr }) => [...expr.matchAll(/gate="(\w+)"/g)].map(([, gate]) => gate!));
  const otherwise = {
    leader: ["MUTTRemediationNoLeader", "MUTTRemediationTwoLeaders"],
    returns: ["MUTTRemediationReturns"],
    // An operator has closed it, and it opens by itself.
    job: [],
  };
  const alerts = ALERTS.map(({ alert }) => alert!);
  for (const [gate, names] of Object.entries(otherwise)) {
    named.push(...names.every((name) => alerts.includes(name)) ? [gate] : []);
  }
  assert.deepEqual(GATE_NAMES.filter((gate) => !named.includes(gate)), []);
});

const RUNBOOK = "{{ with $externalLabels.mutt_runbooks }}{{ . }}/{{ end }}docs/operations.md#";

Deno.test("alerts: each has a severity, a kind, what is wrong, the cause, the way out and a link", () => {
  for (const { alert = "", labels = {}, annotations = {} } of ALERTS) {
    assert.ok(["critical", "warning", "info"].includes(labels.severity!), alert);
    assert.ok(["cause", "symptom", "notice"].includes(labels.kind!), alert);
    assert.deepEqual(Object.keys(annotations).sort(), ["description", "runbook_url", "summary"], alert);
    assert.match(annotations.description!, /Cause: .+\. Way out: .+\.$/, alert);
    assert.equal(annotations.runbook_url, RUNBOOK + alert.toLowerCase());
  }
});

Deno.test("alerts: their texts name only labels that they have when they fire", () => {
  for (const { alert = "", annotations = {} } of ALERTS) {
    const text = Object.values(annotations).join("\n");
    for (const [, name] of text.matchAll(/\$labels\.(\w+)/g)) {
      const firing = CASES[alert]!.flatMap(({ fires = [] }) => fires);
      assert.ok(firing.every((labels) => name === "job" || name! in labels), `${alert}: ${name}`);
    }
  }
});

/** The rules in a folder of their own, which is removed afterwards, and promtool's test of them. */
async function testRules(tests: unknown[], { annotated }: { annotated: boolean }): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    const files = filesIn(RULES, ".yml");
    const groups = files.map((path) => {
      const rules = groupsOf(path).map(({ rules, ...group }) => ({
        ...group,
        rules: rules.map(({ annotations, ...rule }) => ({ ...rule, ...annotated && annotations && { annotations } })),
      }));
      return { path: `${dir}/${path.split("/").at(-1)}`, rules };
    });
    for (const { path, rules } of groups) await Deno.writeTextFile(path, stringify({ groups: rules }));
    const test = {
      rule_files: groups.map(({ path }) => path),
      evaluation_interval: "1m",
      group_eval_order: groups.flatMap(({ rules }) => rules.map(({ name }) => name)),
      tests,
    };
    await Deno.writeTextFile(`${dir}/test.yml`, stringify(test));
    await runProgram("promtool", "test", "rules", `${dir}/test.yml`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** A label without a value is none. */
function withoutEmpty(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ""));
}

function promtoolTest(alert: string, { when, series, minute, fires = [] }: Case) {
  const { labels } = ALERTS.find((one) => one.alert === alert)!;
  return {
    name: `${alert}: ${when}`,
    interval: "1m",
    input_series: series.map(([name, values]) => ({ series: name, values })),
    alert_rule_test: [{
      eval_time: `${minute}m`,
      alertname: alert,
      exp_alerts: fires.map((own) => ({ exp_labels: withoutEmpty({ job: JOB, ...own, ...labels }) })),
    }],
  };
}

for (const [alert, cases] of Object.entries(CASES)) {
  // The texts are left out: promtool wants them word for word.
  withProgram(
    "promtool",
    `${alert}: fires when it should, and only then`,
    () => testRules(cases.map((one) => promtoolTest(alert, one)), { annotated: false }),
  );
}

withProgram(
  "promtool",
  "alerts: link to the runbook, wherever Prometheus' external label says that it is",
  async () => {
    const alert = "MUTTRemediationOldestAge", at = "docs/operations.md#muttremediationoldestage";
    const { annotations } = ALERTS.find((one) => one.alert === alert)!;
    const [fires] = CASES[alert]!;
    const tests = [
      {
        external_labels: { mutt_runbooks: "https://git.example.com/blob/main" },
        url: `https://git.example.com/blob/main/${at}`,
      },
      { external_labels: {}, url: at },
    ].map(({ external_labels, url }) => {
      const test = promtoolTest(alert, fires!),
        [{ exp_alerts, ...rest }] = test.alert_rule_test as [
          typeof test.alert_rule_test[number],
        ];
      const exp_annotations = {
        ...annotations,
        summary: "A dead letter of alerter has waited for 1h 0m 1s",
        runbook_url: url,
      };
      return {
        ...test,
        external_labels,
        alert_rule_test: [{ ...rest, exp_alerts: exp_alerts.map((one) => ({ ...one, exp_annotations })) }],
      };
    });
    await testRules(tests, { annotated: true });
  },
);
