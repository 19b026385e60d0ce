/**
 * The service's metrics: the original's seven by their exact names (contract §5), and what this service adds.
 *
 * Label sets are closed and start at 0, so that a rate is right from the first event on. Rendered as Prometheus text
 * only: prom-client 15 drops `_total` from its counters for good once it has rendered OpenMetrics.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { BRAKE_REASONS, BRAKE_STATES } from "../cycle/brake.ts";
import { DEAD_REASONS } from "../message/source_policy.ts";
import { SPAN_DROP_REASONS, type SpanDropReason } from "./tracing.ts";
import type { ProcessUsage } from "../runtime/process.ts";

/** Content type of {@link Metrics.render}. */
export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The original's, which are the Python client's defaults (contract §5). */
const LOOP_BUCKETS_SECONDS = [.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10];

/** What a list is to a source: values of the label `role`. */
export const QUEUE_ROLES = ["dlq", "target", "dead", "downstream"] as const;
/** One of {@link QUEUE_ROLES}. */
export type QueueRole = (typeof QUEUE_ROLES)[number];

/** Why a replay failed, in the original's two words. */
export const REPLAY_FAIL_REASONS = ["processing_error", "redis_error"] as const;
/** One of {@link REPLAY_FAIL_REASONS}. */
export type ReplayFailReason = (typeof REPLAY_FAIL_REASONS)[number];

/** What became of a configuration change. */
export const RELOAD_RESULTS = ["applied", "rejected"] as const;
/** One of {@link RELOAD_RESULTS}. */
export type ReloadResult = (typeof RELOAD_RESULTS)[number];

/** The ports that answer HTTP. */
export const HTTP_PORTS = ["metrics", "health"] as const;
/** Why an HTTP client was cut off: it took too long, or was the oldest of too many. */
export const CUT_REASONS = ["slow", "crowded"] as const;
/** One of {@link CUT_REASONS}. */
export type CutReason = (typeof CUT_REASONS)[number];

/** A list that a source measures. */
export interface MeasuredQueue {
  /** The full Redis key. */
  readonly name: string;
  readonly role: QueueRole;
}

/** What a source is to the metrics. */
export interface MeasuredSource {
  readonly name: string;
  readonly gates: readonly string[];
  readonly queues: readonly MeasuredQueue[];
}

/** Series by source that another room keeps in the same registry. */
export interface SourceSeries {
  /** Adds them to the registry. Called once, before any source is added. */
  register(registry: Registry): void;
  /** Starts a source's series; one that is there already goes on. */
  addSource(source: string): void;
  /** Forgets them; `keepCounters`: the source comes back at once, so only its gauges go. */
  removeSource(source: string, options: { keepCounters: boolean }): void;
}

/** What {@link Metrics} needs: the label sets that are not known here. */
export interface MetricsOptions {
  readonly sources: readonly MeasuredSource[];
  readonly commitResults: readonly string[];
  readonly redisErrorCodes: readonly string[];
  /** Series of other rooms; default: none. */
  readonly more?: readonly SourceSeries[];
  readonly version: string;
  /** The commit it was built from; `unknown` where nobody said. */
  readonly commit: string;
  /** Read at each scrape. */
  readonly readProcessUsage: () => ProcessUsage;
}

/** One instance's metrics, in a registry of its own. Nothing here does IO. */
export class Metrics {
  readonly #registry = new Registry();

  /** One per pass over all sources. */
  readonly loops = this.#counter("loops_total", "Passes over all sources.");
  /** Depth by the DLQ's full key. */
  readonly dlqDepth = this.#gauge("dlq_depth", "Messages in a dead-letter queue.", ["dlq_name"]);
  /** Every message put into a target. */
  readonly replaySuccess = this.#counter("replay_success_total", "Messages put back into a work queue.");
  /** `processing_error` or `redis_error`. */
  readonly replayFail = this.#counter("replay_fail_total", "Failed replays, by reason.", ["reason"]);
  /** Every message put into a dead list, whatever the reason. */
  readonly poisonMessages = this.#counter("poison_messages_total", "Messages moved to a dead list.");
  /** 1: healthy, or not asked. */
  readonly moogHealth = this.#gauge("moog_health", "Whether Moogsoft answers its probe (1) or not (0).");
  /** Seconds of a pass over all sources. */
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
  /** Depth of each list of a source, by {@link QUEUE_ROLES}. */
  readonly queueDepth = this.#gauge("queue_depth", "Messages in a list that a source reads, fills or watches.", [
    "source",
    "queue",
    "role",
  ]);
  /** Seconds; 0 where the DLQ is empty. */
  readonly oldestAge = this.#gauge(
    "oldest_age_seconds",
    "How long the oldest dead letter of a source has waited in the queue, 0 if there is none.",
    ["source"],
  );
  /** Seconds; no series where the DLQ is empty, or the message gives no time. */
  readonly oldestEventAge = this.#gauge(
    "oldest_event_age_seconds",
    "Age of the oldest dead letter of a source by its own time, where it gives one that is understood.",
    ["source"],
  );
  /** 1 open, 0 closed. */
  readonly gateOpen = this.#gauge("gate_open", "Whether a gate is open (1) or closed (0).", ["source", "gate"]);
  /** 1 for the state that a source's brake is in. */
  readonly brakeState = this.#gauge(
    "brake_state",
    "Whether a source is healthy, suspect, canary or ramping (1) or not (0).",
    [
      "source",
      "state",
    ],
  );
  /** 1 for what changed a source's brake last. */
  readonly brakeReason = this.#gauge("brake_reason", "What changed a source's state last (1) or did not (0).", [
    "source",
    "reason",
  ]);
  /** -1: no bound. */
  readonly allowance = this.#gauge(
    "allowance",
    "Most messages of a cycle while canaries go or the allowance grows; -1: no bound.",
    [
      "source",
    ],
  );
  /** Messages seen in the DLQ with the stamp of a replay. */
  readonly returned = this.#counter("returned_total", "Replayed messages seen to have come back, by source.", [
    "source",
  ]);
  /** 1 where they are dropped: arrivals are taken for returns. */
  readonly stampsDropped = this.#gauge(
    "stamps_dropped",
    "Whether the consumer of a source drops the stamp of a replay (1) or keeps it (0).",
    ["source"],
  );
  /** By one of {@link COMMIT_RESULTS}. */
  readonly commits = this.#counter("commits_total", "Commits of a chunk, by source and result.", ["source", "result"]);
  /** Bytes of payload, as they were in the DLQ. */
  readonly movedBytes = this.#counter("moved_bytes_total", "Bytes of the messages moved, by source.", ["source"]);
  /** By one of {@link HTTP_PORTS} and one of {@link CUT_REASONS}. */
  readonly httpCut = this.#counter(
    "http_cut_total",
    "HTTP clients cut off without a whole answer, by port and reason.",
    [
      "port",
      "reason",
    ],
  );
  /** By one of {@link RELOAD_RESULTS}. */
  readonly configReloads = this.#counter("config_reloads_total", "Configuration changes, by result.", ["result"]);
  /** By one of `REDIS_ERROR_CODES`. */
  readonly redisErrors = this.#counter("redis_errors_total", "Failed Redis calls, by code.", ["code"]);
  /** Connections made again after a loss. */
  readonly redisReconnects = this.#counter("redis_reconnects_total", "Redis connections that were made again.");
  /** Leases that no setting allows, found and taken all the same. */
  readonly longLeases = this.#counter(
    "long_leases_total",
    "Leases longer than any setting allows, found and not obeyed.",
    [
      "source",
    ],
  );
  readonly #buildInfo = this.#gauge("build_info", "Always 1; what is running is in the labels.", ["version", "commit"]);

  readonly #commitResults: readonly string[];
  readonly #more: readonly SourceSeries[];
  readonly #leaders = new Map<string, () => boolean>();
  readonly #gates = new Map<string, () => readonly (readonly [gate: string, seconds: number])[]>();
  #droppedSpans: (reason: SpanDropReason) => number = () => 0;
  #droppedLines: () => number = () => 0;

  constructor(options: MetricsOptions) {
    this.#commitResults = options.commitResults;
    this.#more = options.more ?? [];
    for (const series of this.#more) series.register(this.#registry);
    this.#initialise(options);
    registerLeader(this.#registry, this.#leaders);
    registerGates(this.#registry, this.#gates);
    registerDroppedSpans(this.#registry, (reason) => this.#droppedSpans(reason));
    registerDroppedLines(this.#registry, () => this.#droppedLines());
    registerProcessMetrics(this.#registry, options.readProcessUsage);
  }

  /** Has `leads` asked at each scrape: whether this instance moves the messages of a source. Without an election always true. */
  showLeader(source: string, leads: () => boolean): void {
    this.#leaders.set(source, leads);
  }

  /** Has `closed` asked at each scrape: for how many seconds each gate of a source has been closed, 0 while it is open. */
  showGates(source: string, closed: () => readonly (readonly [gate: string, seconds: number])[]): void {
    this.#gates.set(source, closed);
  }

  /** Has `dropped` asked at each scrape: spans that were never delivered. Without it there are none. */
  showDroppedSpans(dropped: (reason: SpanDropReason) => number): void {
    this.#droppedSpans = dropped;
  }

  /** Has `dropped` asked at each scrape: log lines that nobody read. Without it there are none. */
  showDroppedLines(dropped: () => number): void {
    this.#droppedLines = dropped;
  }

  /** Every metric as Prometheus text, in {@link METRICS_CONTENT_TYPE}. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }

  #initialise({ sources, redisErrorCodes, version, commit }: MetricsOptions): void {
    for (const reason of REPLAY_FAIL_REASONS) this.replayFail.inc({ reason }, 0);
    for (const result of RELOAD_RESULTS) this.configReloads.inc({ result }, 0);
    for (const port of HTTP_PORTS) for (const reason of CUT_REASONS) this.httpCut.inc({ port, reason }, 0);
    for (const code of redisErrorCodes) this.redisErrors.inc({ code }, 0);
    for (const source of sources) this.addSource(source);
    this.#buildInfo.set({ version, commit }, 1);
  }

  /** Starts a source's series at 0; counters that are there already stay. */
  addSource({ name: source, gates, queues }: MeasuredSource): void {
    for (const series of this.#more) series.addSource(source);
    this.replayed.inc({ source }, 0);
    this.movedBytes.inc({ source }, 0);
    this.longLeases.inc({ source }, 0);
    this.oldestAge.set({ source }, 0);
    this.allowance.set({ source }, -1);
    this.returned.inc({ source }, 0);
    this.stampsDropped.set({ source }, 0);
    for (const state of BRAKE_STATES) this.brakeState.set({ source, state }, state === "healthy" ? 1 : 0);
    for (const reason of BRAKE_REASONS) this.brakeReason.set({ source, reason }, reason === "none" ? 1 : 0);
    for (const reason of DEAD_REASONS) this.dead.inc({ source, reason }, 0);
    for (const result of this.#commitResults) this.commits.inc({ source, result }, 0);
    for (const gate of gates) this.gateOpen.set({ source, gate }, 0);
    for (const { name: queue, role } of queues) {
      this.queueDepth.set({ source, queue, role }, 0);
      if (role === "dlq") this.dlqDepth.set({ dlq_name: queue }, 0);
    }
  }

  /** Forgets the series of a source that runs no more; `keepCounters`: it comes back at once, so only its gauges go. */
  removeSource({ name: source, gates, queues }: MeasuredSource, { keepCounters }: { keepCounters: boolean }): void {
    this.oldestAge.remove({ source });
    this.oldestEventAge.remove({ source });
    this.allowance.remove({ source });
    this.returned.remove({ source });
    this.stampsDropped.remove({ source });
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
    for (const reason of DEAD_REASONS) this.dead.remove({ source, reason });
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
    help: "For how long a gate has been closed, as this instance saw it; 0 while it is open.",
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

function registerDroppedSpans(registry: Registry, dropped: (reason: SpanDropReason) => number): void {
  new Counter({
    name: "mutt_remediation_spans_dropped_total",
    help: "Trace spans that were not delivered, by reason.",
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
    help: "Log lines that were dropped, because nobody read standard error.",
    registers: [registry],
    collect() {
      this.reset();
      this.inc(dropped());
    },
  });
}

/** By hand: under Deno, prom-client's own process metrics export 0 where they may not read /proc (TOOLCHAIN §3). */
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
