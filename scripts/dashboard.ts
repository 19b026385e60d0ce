/**
 * The Grafana dashboard: its queries and panels. `deno task generate` writes it to
 * `monitoring/grafana/dashboards/mutt-remediation.json`; `tests/e2e/monitoring_test.ts` runs every query.
 */
import { BRAKE_STATES, type BrakeState } from "../src/cycle/brake.ts";

/** One query of a panel. */
export interface Query {
  readonly expr: string;
  /** May contain `{{label}}`. */
  readonly legend: string;
}

type Unit = "short" | "s" | "bytes" | "Bps" | "percentunit";
type Colour = "green" | "yellow" | "orange" | "red" | "blue";

/** Name and colour of a value. */
interface Meaning {
  readonly value: number;
  readonly text: string;
  readonly colour: Colour;
}

/** One panel. */
export interface Panel {
  readonly title: string;
  /** Explains the panel and its normal state; shown behind the (i). */
  readonly help: string;
  /** `stat`: the last value, large. `lines`: over time. `states`: coloured bars over time. `table`: current labels. */
  readonly kind: "stat" | "lines" | "states" | "table";
  /** Width in columns; a row has 24. */
  readonly width: number;
  readonly queries: readonly Query[];
  /** Default `short`: a plain number. */
  readonly unit?: Unit;
  /** Values from which it turns yellow and red. */
  readonly limits?: readonly [yellow: number, red: number];
  readonly meanings?: readonly Meaning[];
  /** Alerts on the same data; the panel links to their part of the runbook. */
  readonly alerts?: readonly string[];
}

/** Panels below one heading, from left to right. */
export interface Row {
  readonly title: string;
  readonly height: number;
  readonly panels: readonly Panel[];
}

const ANYWHERE = 'namespace=~"$namespace"';
const OF_SOURCE = `${ANYWHERE},source=~"$source"`;
/** Restricts process metrics, which every program has, to this service, whatever its Prometheus job. */
const OURS = "and on (job, namespace, instance) last_over_time(mutt_remediation_build_info[1d])";

/**
 * The value from the instance that leads the source; without a leader, the worst value of all (as in
 * rules/recording.yml).
 */
function asLeader(
  worst: "max" | "min",
  expr: string,
  by: readonly string[] = [],
): string {
  const group = `${worst} by (${["namespace", "source", ...by].join(", ")})`;
  return `${group} (${expr} and on (namespace, job, instance, source) mutt_remediation_leader == 1)\n` +
    `or ${group} (${expr})`;
}

/** Increase of a counter per minute, over all instances. */
function perMinute(counter: string, by: readonly string[], matchers: string): string {
  return `60 * sum by (${["namespace", ...by].join(", ")}) (rate(${counter}{${matchers}}[$__rate_interval]))`;
}

function durationQuantile(quantile: number): string {
  const buckets = `mutt_remediation_loop_duration_seconds_bucket{${ANYWHERE}}`;
  return `histogram_quantile(${quantile}, sum by (namespace, le) (rate(${buckets}[$__rate_interval])))`;
}

const GATES = asLeader("min", `mutt_remediation_gate_open{${OF_SOURCE},gate!="leader"}`, ["gate"]);
/** These two open and close constantly while messages flow, so they draw no events. */
const STEADY_GATES = asLeader("min", `mutt_remediation_gate_open{${OF_SOURCE},gate!~"leader|depth|pace"}`, ["gate"]);

const STATE_COLOURS: Readonly<Record<BrakeState, Colour>> = {
  healthy: "green",
  suspect: "red",
  canary: "orange",
  ramping: "yellow",
};
const STATES: readonly Meaning[] = BRAKE_STATES.map((text, value) => ({ value, text, colour: STATE_COLOURS[text] }));
/** Query for the number of a source's state. */
const BRAKE = asLeader(
  "max",
  "(" + BRAKE_STATES.map((state, value) => `${value} * mutt_remediation_brake_state{${OF_SOURCE},state="${state}"}`)
    .join(" + ignoring (state) ") +
    ")",
);

const OPEN_OR_CLOSED: readonly Meaning[] = [
  { value: 0, text: "closed", colour: "red" },
  { value: 1, text: "open", colour: "green" },
];
const yesOrNo = (yes: string, no: string, noColour: Colour): Meaning[] => [
  { value: 0, text: no, colour: noColour },
  { value: 1, text: yes, colour: "green" },
];

/** The whole dashboard. */
export const ROWS: readonly Row[] = [
  {
    title: "Is it healing?",
    height: 7,
    panels: [
      {
        title: "Dead letters",
        help: "Messages in the dead-letter queue. Should trend toward 0.",
        ...{ kind: "stat", width: 5, limits: [500, 1_000] },
        queries: [{
          expr: asLeader("max", `mutt_remediation_queue_depth{${OF_SOURCE},role="dlq"}`),
          legend: "{{source}} {{namespace}}",
        }],
        alerts: ["MUTTRemediationDLQGrows"],
      },
      {
        title: "Oldest dead letter",
        help: "Age of the oldest dead letter, counted from when it was first seen in the queue. 0: the queue is empty.",
        ...{ kind: "stat", width: 5, unit: "s", limits: [900, 3_600] },
        queries: [{
          expr: asLeader("max", `mutt_remediation_oldest_age_seconds{${OF_SOURCE}}`),
          legend: "{{source}} {{namespace}}",
        }],
        alerts: ["MUTTRemediationOldestAge"],
      },
      {
        title: "Replayed a minute",
        help: "Messages put back into their work queue. Rises while dead letters wait and the gates are open.",
        ...{ kind: "lines", width: 7 },
        queries: [{
          expr: perMinute("mutt_remediation_replayed_total", ["source"], OF_SOURCE),
          legend: "{{source}} {{namespace}}",
        }],
        alerts: ["MUTTRemediationStuck"],
      },
      {
        title: "Died a minute, by reason",
        help:
          "Messages moved to the dead list. poison failed too often; the other reasons are unusable messages. Should be about 0.",
        ...{ kind: "lines", width: 7 },
        queries: [{
          expr: perMinute("mutt_remediation_dead_total", ["source", "reason"], OF_SOURCE),
          legend: "{{reason}} {{source}} {{namespace}}",
        }],
        alerts: ["MUTTRemediationPoison", "MUTTHighPoisonMessageRate"],
      },
      {
        title: "Gates",
        help: "If nothing moves, a closed (red) gate shows why. depth and pace open and close while messages flow.",
        ...{ kind: "states", width: 12, meanings: OPEN_OR_CLOSED },
        queries: [{ expr: GATES, legend: "{{source}} {{gate}} {{namespace}}" }],
        alerts: [
          "MUTTRemediationSwitchedOff",
          "MUTTRemediationPaused",
          "MUTTRemediationWindow",
          "MUTTRemediationRedisUnusable",
          "MUTTRemediationConsumerGone",
          "MUTTRemediationMoogsoftUnhealthy",
          "MUTTRemediationBreakerOpen",
          "MUTTRemediationQueuesFull",
          "MUTTRemediationRateLimitUsedUp",
        ],
      },
      {
        title: "Canary and ramp",
        help:
          "healthy: only the gates limit replay. suspect, canary: replayed messages return, so only canary groups are replayed. " +
          "ramping: canaries succeeded, and the limit grows each cycle.",
        ...{ kind: "states", width: 6, meanings: STATES },
        queries: [{ expr: BRAKE, legend: "{{source}} {{namespace}}" }],
        alerts: ["MUTTRemediationReturns"],
      },
      {
        title: "Most messages of a cycle",
        help: "Limit of a cycle during canaries and the ramp. -1: no limit.",
        ...{ kind: "lines", width: 6 },
        queries: [{
          expr: asLeader("max", `mutt_remediation_allowance{${OF_SOURCE}}`),
          legend: "{{source}} {{namespace}}",
        }],
      },
    ],
  },
  {
    title: "Lists",
    height: 8,
    panels: [
      {
        title: "Dead-letter queues and dead lists",
        help: "A dead list only grows until an operator handles its messages.",
        ...{ kind: "lines", width: 12 },
        queries: [{
          expr: asLeader("max", `mutt_remediation_queue_depth{${OF_SOURCE},role=~"dlq|dead"}`, ["queue", "role"]),
          legend: "{{queue}} ({{role}} of {{source}}) {{namespace}}",
        }],
        alerts: ["MUTTRemediationDeadListGrows"],
      },
      {
        title: "Work queues behind",
        help: "The target of replays and the queues after it. The gate depth closes at their limit.",
        ...{ kind: "lines", width: 12 },
        queries: [{
          expr: asLeader("max", `mutt_remediation_queue_depth{${OF_SOURCE},role=~"target|downstream"}`, [
            "queue",
            "role",
          ]),
          legend: "{{queue}} ({{role}} of {{source}}) {{namespace}}",
        }],
      },
    ],
  },
  {
    title: "Cycles",
    height: 7,
    panels: [
      {
        title: "Commits a minute, by result",
        help: "Mostly ok is normal. Many conflicts: another program takes messages from the dead-letter queue.",
        ...{ kind: "lines", width: 8 },
        queries: [{
          expr: `${perMinute("mutt_remediation_commits_total", ["source", "result"], OF_SOURCE)} > 0 or ` +
            perMinute("mutt_remediation_commits_total", ["source", "result"], `${OF_SOURCE},result="ok"`),
          legend: "{{result}} {{source}} {{namespace}}",
        }],
        alerts: ["MUTTRemediationConflicts"],
      },
      {
        title: "Duration of a cycle",
        help: "From start to end. A cycle behind a closed gate takes almost no time.",
        ...{ kind: "lines", width: 6, unit: "s" },
        queries: [0.5, 0.95].map((quantile) => ({
          expr: durationQuantile(quantile),
          legend: `${quantile * 100} % take less {{namespace}}`,
        })),
      },
      {
        title: "Passes a minute",
        help: "Over all sources and instances. 0: the loop is stuck.",
        ...{ kind: "lines", width: 5 },
        queries: [{ expr: perMinute("mutt_remediation_loops_total", [], ANYWHERE), legend: "passes {{namespace}}" }],
      },
      {
        title: "Moved",
        help: "Bytes of moved messages per second.",
        ...{ kind: "lines", width: 5, unit: "Bps" },
        queries: [{
          expr: `sum by (namespace, source) (rate(mutt_remediation_moved_bytes_total{${OF_SOURCE}}[$__rate_interval]))`,
          legend: "{{source}} {{namespace}}",
        }],
      },
    ],
  },
  {
    title: "Moogsoft and Redis",
    height: 6,
    panels: [
      {
        title: "Moogsoft",
        help: "Result of each instance's last probe. Also healthy if Moogsoft is not probed.",
        ...{ kind: "states", width: 8, meanings: yesOrNo("healthy", "unhealthy", "red") },
        queries: [{ expr: `mutt_remediation_moog_health{${ANYWHERE}}`, legend: "{{instance}} {{namespace}}" }],
        alerts: ["MUTTRemediationProbeFlaps"],
      },
      {
        title: "Failed Redis calls a minute, by code",
        help: "Failed calls are retried and lose no messages.",
        ...{ kind: "lines", width: 6 },
        queries: [{
          expr:
            `sum by (namespace, code) (60 * rate(mutt_remediation_redis_errors_total{${ANYWHERE}}[$__rate_interval]))`,
          legend: "{{code}} {{namespace}}",
        }],
      },
      {
        title: "Reconnects in 15 minutes",
        help: "Reconnects to Redis after a lost connection. One may be a failover; many are a problem.",
        ...{ kind: "lines", width: 5 },
        queries: [{
          expr: `increase(mutt_remediation_redis_reconnects_total{${ANYWHERE}}[15m])`,
          legend: "{{instance}} {{namespace}}",
        }],
        alerts: ["MUTTRemediationRedisReconnects"],
      },
      {
        title: "Configuration changes in an hour",
        help: "Changes of dynamic keys and the sources file. rejected: the last valid value stays; the log says why.",
        ...{ kind: "lines", width: 5 },
        queries: [{
          expr: `max by (namespace, result) (increase(mutt_remediation_config_reloads_total{${ANYWHERE}}[1h]))`,
          legend: "{{result}} {{namespace}}",
        }],
        alerts: ["MUTTRemediationConfigRejected"],
      },
    ],
  },
  {
    title: "Incidents",
    height: 6,
    panels: [
      {
        title: "Open incidents",
        help: "What is wrong now, by kind, as the instance that watches sees it.",
        ...{ kind: "lines", width: 8 },
        queries: [{
          expr: `sum by (namespace, kind) (mutt_remediation_incidents_open{${ANYWHERE}})`,
          legend: "{{kind}} {{namespace}}",
        }],
      },
      {
        title: "Notices in 30 minutes",
        help: "sent: a receiver took it. failed: it is tried again. dropped: it was given up.",
        ...{ kind: "lines", width: 8 },
        queries: [{
          expr: `sum by (namespace, receiver, result) (increase(mutt_remediation_notices_total{${ANYWHERE}}[30m]))`,
          legend: "{{receiver}} {{result}} {{namespace}}",
        }],
        alerts: ["MUTTRemediationNotices"],
      },
      {
        title: "Notices waiting",
        help: "For a receiver that fails, or for the end of its quiet hours.",
        ...{ kind: "lines", width: 8 },
        queries: [{
          expr: `sum by (namespace, receiver) (mutt_remediation_notices_waiting{${ANYWHERE}})`,
          legend: "{{receiver}} {{namespace}}",
        }],
      },
    ],
  },
  {
    title: "Instances",
    height: 6,
    panels: [
      {
        title: "Up",
        help: "Whether Prometheus reaches each instance.",
        ...{ kind: "states", width: 6, meanings: yesOrNo("up", "down", "red") },
        queries: [{ expr: `up{${ANYWHERE}} ${OURS}`, legend: "{{instance}} {{namespace}}" }],
        alerts: ["MUTTRemediationDown", "MUTTRemediationInstanceDown"],
      },
      {
        title: "Leader",
        help: "Which instance moves the messages of a source; the others stand by.",
        ...{ kind: "states", width: 6, meanings: yesOrNo("leads", "stands by", "blue") },
        queries: [{ expr: `mutt_remediation_leader{${OF_SOURCE}}`, legend: "{{source}} {{instance}} {{namespace}}" }],
        alerts: ["MUTTRemediationNoLeader", "MUTTRemediationTwoLeaders"],
      },
      {
        title: "Running since",
        help: "Uptime of each instance. Repeated drops to 0 are restarts.",
        ...{ kind: "lines", width: 6, unit: "s" },
        queries: [{
          expr: `time() - process_start_time_seconds{${ANYWHERE}} ${OURS}`,
          legend: "{{instance}} {{namespace}}",
        }],
      },
      {
        title: "Version",
        help: "The running version.",
        ...{ kind: "table", width: 6 },
        queries: [{
          expr: `max by (namespace, instance, version, commit) (mutt_remediation_build_info{${ANYWHERE}})`,
          legend: "",
        }],
      },
      {
        title: "CPU",
        help: "Share of one processor.",
        ...{ kind: "lines", width: 8, unit: "percentunit" },
        queries: [{
          expr: `rate(process_cpu_seconds_total{${ANYWHERE}}[$__rate_interval]) ${OURS}`,
          legend: "{{instance}} {{namespace}}",
        }],
      },
      {
        title: "Memory",
        help: "Resident memory.",
        ...{ kind: "lines", width: 8, unit: "bytes" },
        queries: [{
          expr: `process_resident_memory_bytes{${ANYWHERE}} ${OURS}`,
          legend: "{{instance}} {{namespace}}",
        }],
      },
      {
        title: "HTTP clients cut off a minute",
        help:
          "By port and reason: too slow, or the oldest of too many connections. Scrapes and probes should not be cut off.",
        ...{ kind: "lines", width: 8 },
        queries: [{
          expr: perMinute("mutt_remediation_http_cut_total", ["port", "reason"], ANYWHERE),
          legend: "{{port}} {{reason}} {{namespace}}",
        }],
      },
    ],
  },
];

/** Events drawn across all panels while their expression is above 0. */
export const ANNOTATIONS = [
  {
    name: "Gates",
    expr: `(${STEADY_GATES}) == bool 0`,
    colour: "orange",
    title: "{{source}}: gate {{gate}} is closed",
    tags: "source,gate",
  },
  {
    name: "Alerts",
    expr: `ALERTS{alertname=~"MUTT.+",alertstate="firing",${ANYWHERE}}`,
    colour: "red",
    title: "{{alertname}} {{source}}",
    tags: "severity",
  },
] as const satisfies readonly { name: string; expr: string; colour: Colour; title: string; tags: string }[];

/** A selector at the top: a label of a metric, and the pattern of "All" (`.*` also matches a missing label). */
export const CHOICES = [
  { name: "namespace", label: "Namespace", metric: "mutt_remediation_build_info", all: ".*" },
  { name: "source", label: "Source", metric: `mutt_remediation_replayed_total{${ANYWHERE}}`, all: ".+" },
] as const;

const DATASOURCE = { type: "prometheus", uid: "${datasource}" };
const RUNBOOK = "${runbooks}/docs/operations.md";
const COLUMNS = 24;

/** The file's text. */
export function renderDashboard(): string {
  const dashboard = {
    uid: "mutt-remediation",
    title: "MUTT remediation",
    description: "Made from scripts/dashboard.ts by: deno run -A scripts/generate.ts",
    tags: ["mutt"],
    schemaVersion: 41,
    editable: true,
    graphTooltip: 1, // shared crosshair
    refresh: "10s",
    time: { from: "now-1h", to: "now" },
    timezone: "browser",
    links: [link("Runbook", RUNBOOK)],
    templating: { list: renderVariables() },
    annotations: { list: ANNOTATIONS.map(renderAnnotation) },
    panels: renderRows(),
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}

function link(title: string, url: string) {
  const plain = { type: "link", icon: "doc", tooltip: "", tags: [], asDropdown: false };
  return { ...plain, title, url, targetBlank: true, includeVars: false, keepTime: false };
}

function renderVariables() {
  const choices = CHOICES.map(({ name, label, metric, all }) => {
    const query = `label_values(${metric}, ${name})`;
    return {
      ...{ type: "query", name, label, datasource: DATASOURCE, definition: query, query: { query, refId: name } },
      ...{ includeAll: true, multi: true, allValue: all, current: { text: ["All"], value: ["$__all"] } },
      ...{ refresh: 2, sort: 1, options: [] }, // on a change of the time range
    };
  });
  const base = "https://git.example.com/mutt-remediation/blob/main";
  return [
    { type: "datasource", name: "datasource", label: "Prometheus", query: "prometheus", refresh: 1, options: [] },
    ...choices,
    {
      ...{ type: "textbox", name: "runbooks", label: "Runbook at", query: base },
      ...{ current: { text: base, value: base }, options: [] },
    },
  ];
}

function renderAnnotation({ name, expr, colour, title, tags }: typeof ANNOTATIONS[number]) {
  return {
    ...{ name, enable: true, datasource: DATASOURCE, iconColor: colour, titleFormat: title, tagKeys: tags },
    ...{ expr, target: { refId: "Anno", expr } },
  };
}

function renderRows(): unknown[] {
  const panels: unknown[] = [];
  let y = 0;
  for (const { title, height, panels: specs } of ROWS) {
    panels.push(
      {
        id: panels.length + 1,
        type: "row",
        title,
        collapsed: false,
        panels: [],
        gridPos: { x: 0, y, w: COLUMNS, h: 1 },
      },
    );
    y++;
    let x = 0;
    for (const spec of specs) {
      if (x + spec.width > COLUMNS) {
        x = 0;
        y += height;
      }
      panels.push({ id: panels.length + 1, ...renderPanel(spec), gridPos: { x, y, w: spec.width, h: height } });
      x += spec.width;
    }
    y += height;
  }
  return panels;
}

const TYPES = { stat: "stat", lines: "timeseries", states: "state-timeline", table: "table" } as const;

function renderPanel({ title, help, kind, queries, unit = "short", limits, meanings, alerts = [] }: Panel) {
  return {
    type: TYPES[kind],
    title,
    description: help,
    datasource: DATASOURCE,
    targets: queries.map(({ expr, legend }, at) => ({
      ...{ refId: "ABC"[at], datasource: DATASOURCE, editorMode: "code", expr },
      ...kind === "table" ? { instant: true, range: false, format: "table" } : { range: true, legendFormat: legend },
    })),
    fieldConfig: {
      defaults: {
        ...{ unit, noValue: "no data" },
        ...kind === "lines" && { custom: { fillOpacity: 10, showPoints: "never", axisSoftMin: 0 } },
        ...kind === "states" && { custom: { fillOpacity: 80, lineWidth: 0 } },
        ...meanings && { mappings: [renderMeanings(meanings)] },
        ...limits && { color: { mode: "thresholds" }, thresholds: renderLimits(limits) },
      },
      overrides: [],
    },
    options: OPTIONS[kind],
    ...kind === "table" && { transformations: [ONLY_LABELS] },
    ...alerts.length > 0 && { links: alerts.map((alert) => link(alert, `${RUNBOOK}#${alert.toLowerCase()}`)) },
  };
}

const LEGEND = { showLegend: true, displayMode: "list", placement: "bottom", calcs: [] };
const OPTIONS = {
  stat: {
    ...{ graphMode: "area", colorMode: "value", justifyMode: "auto", textMode: "auto", wideLayout: true },
    ...{ orientation: "auto", showPercentChange: false, percentChangeColorMode: "standard" },
    reduceOptions: { calcs: ["lastNotNull"], values: false },
  },
  lines: { legend: LEGEND, tooltip: { mode: "multi", sort: "desc" } },
  states: {
    ...{ showValue: "never", rowHeight: 0.9, mergeValues: true, alignValue: "left" },
    ...{ legend: LEGEND, tooltip: { mode: "single", sort: "none" } },
  },
  table: { showHeader: true, frameIndex: 0, cellHeight: "sm" },
} as const satisfies Record<Panel["kind"], unknown>;

const ONLY_LABELS = { id: "organize", options: { excludeByName: { Time: true, Value: true } } };

function renderMeanings(meanings: readonly Meaning[]) {
  const options = meanings.map(({ value, text, colour }, index) => [String(value), { text, color: colour, index }]);
  return { type: "value", options: Object.fromEntries(options) };
}

function renderLimits([yellow, red]: readonly [number, number]) {
  const steps = [
    { color: "green", value: null },
    { color: "yellow", value: yellow },
    { color: "red", value: red },
  ];
  return { mode: "absolute", steps };
}
