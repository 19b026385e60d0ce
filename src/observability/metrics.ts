/**
 * Defines the service's metrics: the original's seven with their exact names (contract §5) and our own.
 *
 * Label sets are closed and start at 0, so rates are right from the first event. Output is Prometheus text only: after
 * rendering OpenMetrics once, prom-client 15 drops `_total` from its counters permanently.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { BRAKE_REASONS, BRAKE_STATES } from "../cycle/brake.ts";
import { DEAD_REASONS } from "../message/source_policy.ts";
import { SPAN_DROP_REASONS, type SpanDropReason } from "./tracing.ts";
import type { ProcessUsage } from "../runtime/process.ts";

/** Content type of {@link Metrics.render}. */
export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The original's buckets: the Python client's defaults (contract §5). */
const LOOP_BUCKETS_SECONDS = [.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10];

const API_BUCKETS_SECONDS = [.005, .025, .1, .5, 2.5, 10];

/** Why a caller of the API was refused: values of the label `reason`. */
export const AUTH_FAILURES = [
  /** Neither key nor session. */
  "no_key",
  /** An unknown or revoked key. */
  "wrong_key",
  /** A session that has expired, was changed, or whose key was revoked. */
  "bad_session",
  /** A trusted proxy's user without a role, or a wrong secret of a proxy. */
  "proxy",
  /** A change by cookie from another site. */
  "cross_site",
  /** A role that may not run the operation. */
  "role",
  /** Too many wrong keys from this address. */
  "rate_limited",
] as const;
/** One of {@link AUTH_FAILURES}. */
export type AuthFailure = (typeof AUTH_FAILURES)[number];

/** Roles of a source's lists: values of the label `role`. */
export const QUEUE_ROLES = ["dlq", "target", "dead", "downstream"] as const;
/** One of {@link QUEUE_ROLES}. */
export type QueueRole = (typeof QUEUE_ROLES)[number];

/** Reasons of a failed replay, as in the original. */
export const REPLAY_FAIL_REASONS = ["processing_error", "redis_error"] as const;

/** Where synthetic messages went: the list of drills, or the target. */
export const DRILL_RESULTS = ["kept", "sent"] as const;

/** Results of a configuration change. */
export const RELOAD_RESULTS = ["applied", "rejected"] as const;
/** One of {@link RELOAD_RESULTS}. */
export type ReloadResult = (typeof RELOAD_RESULTS)[number];

/** Results of a notice to a receiver: it was sent, is tried again, or was given up. */
export const NOTICE_RESULTS = ["sent", "failed", "dropped"] as const;

/** What the notifier of this instance shows at each scrape; 0 everywhere if another instance watches. */
export interface NotifierGauges {
  /** Open incidents, by kind. */
  openIncidents(): Readonly<Record<string, number>>;
  /** Notices that wait, by receiver. */
  waitingNotices(): Readonly<Record<string, number>>;
}

/** The HTTP ports. */
export const HTTP_PORTS = ["metrics", "health", "api"] as const;
/** Reasons to cut an HTTP client: it took too long, or was the oldest when the limit was reached. */
export const CUT_REASONS = ["slow", "crowded"] as const;
/** One of {@link CUT_REASONS}. */
export type CutReason = (typeof CUT_REASONS)[number];

/** A list measured for a source. */
export interface MeasuredQueue {
  /** The full Redis key. */
  readonly name: string;
  readonly role: QueueRole;
}

/** A source's names for its labels. */
export interface MeasuredSource {
  readonly name: string;
  readonly gates: readonly string[];
  readonly queues: readonly MeasuredQueue[];
}

/** Per-source series that another module keeps in the same registry. */
export interface SourceSeries {
  /** Adds the series to the registry. Called once, before any source is added. */
  register(registry: Registry): void;
  /** Starts a source's series. A known source keeps its values. */
  addSource(source: MeasuredSource): void;
  /** Removes a source's series. With `keepCounters`, removes only gauges, because the source returns at once. */
  removeSource(source: string, options: { keepCounters: boolean }): void;
}

/** Options of {@link Metrics}: label sets that other modules define. */
export interface MetricsOptions {
  readonly sources: readonly MeasuredSource[];
  readonly commitResults: readonly string[];
  readonly redisErrorCodes: readonly string[];
  /** Series of other modules. Default: none. */
  readonly more?: readonly SourceSeries[];
  readonly version: string;
  /** The commit of the build; `unknown` if it was not set. */
  readonly commit: string;
  /** Read at each scrape. */
  readonly readProcessUsage: () => ProcessUsage;
}

/** Holds one instance's metrics in its own registry. Does no IO. */
export class Metrics {
  readonly #registry = new Registry();

  /** Passes over all sources. */
  readonly loops = this.#counter("loops_total", "Passes over all sources.");
  /** DLQ depth, by full Redis key. */
  readonly dlqDepth = this.#gauge("dlq_depth", "Messages in a dead-letter queue.", ["dlq_name"]);
  /** Messages put into any target. */
  readonly replaySuccess = this.#counter("replay_success_total", "Messages put back into a work queue.");
  /** By one of {@link REPLAY_FAIL_REASONS}. */
  readonly replayFail = this.#counter("replay_fail_total", "Failed replays, by reason.", ["reason"]);
  /** Messages put into any dead list, for any reason. */
  readonly poisonMessages = this.#counter("poison_messages_total", "Messages moved to a dead list.");
  /** 1 if healthy or not probed. */
  readonly moogHealth = this.#gauge("moog_health", "Whether Moogsoft answers its probe (1) or not (0).");
  /** Duration of a pass over all sources, in seconds. */
  readonly loopDuration = new Histogram({
    name: "mutt_remediation_loop_duration_seconds",
    help: "Duration of a pass over all sources.",
    buckets: LOOP_BUCKETS_SECONDS,
    registers: [this.#registry],
  });

  /** Messages put into the target. */
  readonly replayed = this.#counter("replayed_total", "Messages replayed, by source.", ["source"]);
  /** Messages put into the dead list, by one of `DEAD_REASONS`. */
  readonly dead = this.#counter("dead_total", "Messages moved to the dead list, by source and reason.", [
    "source",
    "reason",
  ]);
  /** Synthetic messages, by one of {@link DRILL_RESULTS}. They are in no other count. */
  readonly drillMessages = this.#counter(
    "drill_messages_total",
    "Synthetic messages of drills that left the DLQ, by source and result: to the drill's list (kept) or to the target (sent).",
    ["source", "result"],
  );
  /** Depth of each list of a source, by {@link QUEUE_ROLES}. */
  readonly queueDepth = this.#gauge("queue_depth", "Messages in a list that a source reads, fills or watches.", [
    "source",
    "queue",
    "role",
  ]);
  /** Seconds; 0 if the DLQ is empty. */
  readonly oldestAge = this.#gauge(
    "oldest_age_seconds",
    "How long the oldest dead letter of a source has waited in the queue; 0 if the queue is empty.",
    ["source"],
  );
  /** Seconds; no series if the DLQ is empty or the message has no readable time. */
  readonly oldestEventAge = this.#gauge(
    "oldest_event_age_seconds",
    "Age of the oldest dead letter of a source, by its own timestamp; absent if it has no readable one.",
    ["source"],
  );
  /** 1 open, 0 closed. */
  readonly gateOpen = this.#gauge("gate_open", "Whether a gate is open (1) or closed (0).", ["source", "gate"]);
  /** 1 for the current state of a source's brake. */
  readonly brakeState = this.#gauge(
    "brake_state",
    "Whether a source is healthy, suspect, canary or ramping (1) or not (0).",
    [
      "source",
      "state",
    ],
  );
  /** 1 for the latest reason for a change of a source's brake. */
  readonly brakeReason = this.#gauge(
    "brake_reason",
    "Latest reason for a state change of a source (1), other reasons (0).",
    [
      "source",
      "reason",
    ],
  );
  /** -1: no bound. */
  readonly allowance = this.#gauge(
    "allowance",
    "Maximum messages per cycle while the source is in canary or ramping; -1: no limit.",
    [
      "source",
    ],
  );
  /** Messages in the DLQ that carry the stamp of a replay. */
  readonly returned = this.#counter("returned_total", "Replayed messages that returned to the DLQ, by source.", [
    "source",
  ]);
  /** 1 if the consumer drops stamps; then arrivals count as returns. */
  readonly stampsDropped = this.#gauge(
    "stamps_dropped",
    "Whether the consumer of a source drops the replay stamp (1) or keeps it (0).",
    ["source"],
  );
  /** Only of a source that records stamps beside its messages. At least as many as there are. */
  readonly records = this.#gauge("records", "Replay stamps that a source records beside its messages, at most.", [
    "source",
  ]);
  /** Records of messages that may still come back. */
  readonly recordEvictions = this.#counter(
    "record_evictions_total",
    "Recorded replay stamps that were deleted before their time because there were too many, by source.",
    ["source"],
  );
  /** By one of {@link COMMIT_RESULTS}. */
  readonly commits = this.#counter("commits_total", "Commits of a chunk, by source and result.", ["source", "result"]);
  /** Payload bytes, as stored in the DLQ. */
  readonly movedBytes = this.#counter("moved_bytes_total", "Bytes of the messages moved, by source.", ["source"]);
  /** By {@link HTTP_PORTS} and {@link CUT_REASONS}. */
  readonly httpCut = this.#counter(
    "http_cut_total",
    "HTTP clients disconnected before their response was complete, by port and reason.",
    [
      "port",
      "reason",
    ],
  );
  /** By route template, method and status class (`2xx`). */
  readonly apiRequests = this.#counter(
    "api_requests_total",
    "Requests to the API, by route, method and status class.",
    [
      "route",
      "method",
      "status",
    ],
  );
  /** Until the response begins, in seconds. */
  readonly apiDuration = new Histogram({
    name: "mutt_remediation_api_request_duration_seconds",
    help: "Time until the response to a request to the API begins, by route and method.",
    labelNames: ["route", "method"] as const,
    buckets: API_BUCKETS_SECONDS,
    registers: [this.#registry],
  });
  /** By one of {@link AUTH_FAILURES}. */
  readonly apiAuthFailures = this.#counter("api_auth_failures_total", "Refused callers of the API, by reason.", [
    "reason",
  ]);
  /** Clients of `/api/v1/events`. */
  readonly apiEventClients = this.#gauge("api_event_clients", "Clients that follow /api/v1/events.");
  /** By one of {@link RELOAD_RESULTS}. */
  readonly configReloads = this.#counter("config_reloads_total", "Configuration changes, by result.", ["result"]);
  /** By one of `REDIS_ERROR_CODES`. */
  readonly redisErrors = this.#counter("redis_errors_total", "Failed Redis calls, by code.", ["code"]);
  /** Redis reconnections. */
  readonly redisReconnects = this.#counter("redis_reconnects_total", "Redis reconnections.");
  /** Leases longer than any setting allows; this instance ignores them. */
  readonly longLeases = this.#counter(
    "long_leases_total",
    "Leases longer than any setting allows, found and ignored.",
    [
      "source",
    ],
  );
  /** By receiver and one of {@link NOTICE_RESULTS}. */
  readonly notices = this.#counter("notices_total", "Notices about incidents, by receiver and result.", [
    "receiver",
    "result",
  ]);
  readonly #buildInfo = this.#gauge("build_info", "Always 1; the labels name the running build.", [
    "version",
    "commit",
  ]);

  readonly #commitResults: readonly string[];
  readonly #more: readonly SourceSeries[];
  readonly #leaders = new Map<string, () => boolean>();
  readonly #gates = new Map<string, () => readonly (readonly [gate: string, seconds: number])[]>();
  #droppedSpans: (reason: SpanDropReason) => number = () => 0;
  #droppedLines: () => number = () => 0;
  #notifier: NotifierGauges = { openIncidents: () => ({}), waitingNotices: () => ({}) };

  constructor(options: MetricsOptions) {
    this.#commitResults = options.commitResults;
    this.#more = options.more ?? [];
    for (const series of this.#more) series.register(this.#registry);
    this.#initialise(options);
    registerLeader(this.#registry, this.#leaders);
    registerGates(this.#registry, this.#gates);
    registerDroppedSpans(this.#registry, (reason) => this.#droppedSpans(reason));
    registerDroppedLines(this.#registry, () => this.#droppedLines());
    registerNotifier(this.#registry, () => this.#notifier);
    registerProcessMetrics(this.#registry, options.readProcessUsage);
  }

  /**
   * Exposes whether this instance leads a source. Calls `leads` at each scrape. Without leader election it is always
   * true.
   */
  showLeader(source: string, leads: () => boolean): void {
    this.#leaders.set(source, leads);
  }

  /** Exposes how long each gate of a source has been closed, in seconds; 0 if open. Calls `closed` at each scrape. */
  showGates(source: string, closed: () => readonly (readonly [gate: string, seconds: number])[]): void {
    this.#gates.set(source, closed);
  }

  /** Exposes the number of dropped spans. Calls `dropped` at each scrape. Default: 0. */
  showDroppedSpans(dropped: (reason: SpanDropReason) => number): void {
    this.#droppedSpans = dropped;
  }

  /** Exposes the number of dropped log lines. Calls `dropped` at each scrape. Default: 0. */
  showDroppedLines(dropped: () => number): void {
    this.#droppedLines = dropped;
  }

  /** Exposes what the notifier does. Default: nothing. */
  showNotifier(gauges: NotifierGauges): void {
    this.#notifier = gauges;
  }

  /** Starts the series of receivers at 0, and removes those of others. */
  setReceivers(receivers: readonly string[], before: readonly string[]): void {
    for (const result of NOTICE_RESULTS) {
      for (const receiver of before) if (!receivers.includes(receiver)) this.notices.remove({ receiver, result });
      for (const receiver of receivers) this.notices.inc({ receiver, result }, 0);
    }
  }

  /** Renders all metrics as Prometheus text, in {@link METRICS_CONTENT_TYPE}. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }

  #initialise({ sources, redisErrorCodes, version, commit }: MetricsOptions): void {
    for (const reason of REPLAY_FAIL_REASONS) this.replayFail.inc({ reason }, 0);
    for (const result of RELOAD_RESULTS) this.configReloads.inc({ result }, 0);
    for (const port of HTTP_PORTS) for (const reason of CUT_REASONS) this.httpCut.inc({ port, reason }, 0);
    for (const reason of AUTH_FAILURES) this.apiAuthFailures.inc({ reason }, 0);
    for (const code of redisErrorCodes) this.redisErrors.inc({ code }, 0);
    for (const source of sources) this.addSource(source);
    this.#buildInfo.set({ version, commit }, 1);
  }

  /** Starts a source's series at 0. Existing counters keep their values. */
  addSource(measured: MeasuredSource): void {
    const { name: source, gates, queues } = measured;
    for (const series of this.#more) series.addSource(measured);
    this.replayed.inc({ source }, 0);
    this.movedBytes.inc({ source }, 0);
    this.longLeases.inc({ source }, 0);
    this.oldestAge.set({ source }, 0);
    this.allowance.set({ source }, -1);
    this.returned.inc({ source }, 0);
    this.stampsDropped.set({ source }, 0);
    this.recordEvictions.inc({ source }, 0);
    for (const state of BRAKE_STATES) this.brakeState.set({ source, state }, state === "healthy" ? 1 : 0);
    for (const reason of BRAKE_REASONS) this.brakeReason.set({ source, reason }, reason === "none" ? 1 : 0);
    for (const reason of DEAD_REASONS) this.dead.inc({ source, reason }, 0);
    for (const result of DRILL_RESULTS) this.drillMessages.inc({ source, result }, 0);
    for (const result of this.#commitResults) this.commits.inc({ source, result }, 0);
    for (const gate of gates) this.gateOpen.set({ source, gate }, 0);
    for (const { name: queue, role } of queues) {
      this.queueDepth.set({ source, queue, role }, 0);
      if (role === "dlq") this.dlqDepth.set({ dlq_name: queue }, 0);
    }
  }

  /**
   * Removes the series of a stopped source. With `keepCounters`, removes only gauges, because the source returns at
   * once.
   */
  removeSource({ name: source, gates, queues }: MeasuredSource, { keepCounters }: { keepCounters: boolean }): void {
    this.oldestAge.remove({ source });
    this.oldestEventAge.remove({ source });
    this.allowance.remove({ source });
    this.returned.remove({ source });
    this.stampsDropped.remove({ source });
    this.records.remove({ source });
    this.#leaders.delete(source);
    this.#gates.delete(source);
    for (const series of this.#more) series.removeSource(source, { keepCounters });
    for (const state of BRAKE_STATES) this.brakeState.remove({ source, state });
    for (const reason of BRAKE_REASONS) this.brakeReason.remove({ source, reason });
    for (const gate of gates) this.gateOpen.remove({ source, gate });
    for (const { name: queue, role } of queues) {
      this.queueDepth.remove({ source, queue, role });
      if (role === "dlq") this.dlqDepth.remove({ dlq_name: queue });
    }
    if (keepCounters) return;
    this.replayed.remove({ source });
    this.movedBytes.remove({ source });
    this.longLeases.remove({ source });
    this.recordEvictions.remove({ source });
    for (const reason of DEAD_REASONS) this.dead.remove({ source, reason });
    for (const result of DRILL_RESULTS) this.drillMessages.remove({ source, result });
    for (const result of this.#commitResults) this.commits.remove({ source, result });
  }

  #counter<Label extends string = never>(name: string, help: string, labelNames: readonly Label[] = []) {
    return new Counter<Label>({ name: `mutt_remediation_${name}`, help, labelNames, registers: [this.#registry] });
  }

  #gauge<Label extends string = never>(name: string, help: string, labelNames: readonly Label[] = []) {
    return new Gauge<Label>({ name: `mutt_remediation_${name}`, help, labelNames, registers: [this.#registry] });
  }
}

function registerLeader(registry: Registry, leaders: ReadonlyMap<string, () => boolean>): void {
  new Gauge({
    name: "mutt_remediation_leader",
    help: "Whether this instance leads a source (1) or stands by (0).",
    labelNames: ["source"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [source, leads] of leaders) this.set({ source }, leads() ? 1 : 0);
    },
  });
}

function registerGates(
  registry: Registry,
  gates: ReadonlyMap<string, () => readonly (readonly [gate: string, seconds: number])[]>,
): void {
  new Gauge({
    name: "mutt_remediation_gate_closed_seconds",
    help: "How long a gate has been closed, as seen by this instance; 0 if open.",
    labelNames: ["source", "gate"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [source, closed] of gates) {
        for (const [gate, seconds] of closed()) this.set({ source, gate }, seconds);
      }
    },
  });
}

function registerNotifier(registry: Registry, notifier: () => NotifierGauges): void {
  const registers = [registry];
  new Gauge({
    name: "mutt_remediation_incidents_open",
    help: "Incidents that go on, by kind, at the instance that watches for them.",
    labelNames: ["kind"],
    registers,
    collect() {
      this.reset();
      for (const [kind, count] of Object.entries(notifier().openIncidents())) this.set({ kind }, count);
    },
  });
  new Gauge({
    name: "mutt_remediation_notices_waiting",
    help: "Notices that wait for a receiver or for the end of its quiet hours.",
    labelNames: ["receiver"],
    registers,
    collect() {
      this.reset();
      for (const [receiver, count] of Object.entries(notifier().waitingNotices())) this.set({ receiver }, count);
    },
  });
}

function registerDroppedSpans(registry: Registry, dropped: (reason: SpanDropReason) => number): void {
  new Counter({
    name: "mutt_remediation_spans_dropped_total",
    help: "Trace spans not delivered, by reason.",
    labelNames: ["reason"],
    registers: [registry],
    collect() {
      this.reset();
      for (const reason of SPAN_DROP_REASONS) this.inc({ reason }, dropped(reason));
    },
  });
}

function registerDroppedLines(registry: Registry, dropped: () => number): void {
  new Counter({
    name: "mutt_remediation_log_lines_dropped_total",
    help: "Log lines dropped because standard error was not read.",
    registers: [registry],
    collect() {
      this.reset();
      this.inc(dropped());
    },
  });
}

/**
 * Replaces prom-client's process metrics, which export 0 under Deno without permission to read /proc (TOOLCHAIN §3).
 */
function registerProcessMetrics(registry: Registry, read: () => ProcessUsage): void {
  const registers = [registry];
  new Gauge({
    name: "process_resident_memory_bytes",
    help: "Resident memory size in bytes.",
    registers,
    collect() {
      this.set(read().residentBytes);
    },
  });
  new Counter({
    name: "process_cpu_seconds_total",
    help: "Total user and system CPU time spent in seconds.",
    registers,
    collect() {
      this.reset();
      this.inc(read().cpuSeconds);
    },
  });
  new Gauge({
    name: "process_start_time_seconds",
    help: "Start time of the process since the epoch in seconds.",
    registers,
    collect() {
      this.set(read().startedAtSeconds);
    },
  });
}
