/** Runs a source's replay in this process, over real connections to the test's Redis, and exposes its counts. */
import { AssertionError } from "node:assert";
import { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import { createSourcePipeline, type SourcePipeline } from "../src/app/source_pipeline.ts";
import { createSources } from "../src/mutt/built_in_sources.ts";
import { LiveSettings } from "../src/mutt/dynamic_keys.ts";
import { DEFAULT_SETTINGS, type Settings } from "../src/config/fields.ts";
import type { SourceEntry } from "../src/config/source_fields.ts";
import type { WindowEntry } from "../src/config/window_fields.ts";
import { parseServers } from "../src/config/redis_url.ts";
import { Secret } from "../src/runtime/secret.ts";
import type { Push, SourcePolicy } from "../src/message/source_policy.ts";
import { GATE_NAMES } from "../src/gates/gate.ts";
import type { Log } from "../src/observability/log.ts";
import type { NewEntry } from "../src/journal/entries.ts";
import { Metrics } from "../src/observability/metrics.ts";
import { SloCounters } from "../src/slo/counters.ts";
import { NO_TRACER } from "../src/observability/tracing.ts";
import { RedisConnections } from "../src/redis/connection.ts";
import { type Commit, COMMIT_RESULTS, type CommitResult } from "../src/cycle/chunk.ts";
import { DeadLetterStore } from "../src/redis/dead_letter_store.ts";
import { REDIS_ERROR_CODES, type RedisErrorCode, toStoreError } from "../src/redis/errors.ts";
import type { Instance } from "../src/redis/lease_store.ts";
import { oversizeKey, stateKey } from "../src/redis/keys.ts";
import { measuredQueues } from "../src/replay/depth_watch.ts";
import { ReplayLoop } from "../src/replay/loop.ts";
import type { TurnOutcome } from "../src/replay/outcome.ts";
import type { TurnOptions } from "../src/replay/source_replay.ts";
import { type Clock, SYSTEM_CLOCK } from "../src/runtime/clock.ts";
import { createId, SYSTEM_RANDOM } from "../src/runtime/random.ts";
import { PLANTED } from "./planted_secrets.ts";
import { watchLogLine, watchOutput } from "./secrets_net.ts";
import { PATIENT_MS, waitUntil } from "./wait.ts";
import { WrappedStore } from "./wrapped_store.ts";

/** Members of a source that records its stamps beside the messages, and has no other rules. */
export const BESIDE: SourceEntry = { record: "beside", counter: null, cutOnReplay: [], required: [] };

/** Lists of the source that the engine runs. */
export const DLQ = DEFAULT_SETTINGS.alerterDlq;
export const TARGET = DEFAULT_SETTINGS.ingestQueue;
export const DEAD = DEFAULT_SETTINGS.deadList;
export const STATE = stateKey(DLQ);

/** Default limit for pauses of the loop, in milliseconds, so that tests need not wait for the real back-off. */
const LONGEST_PAUSE_MS = 20;

/** Settings of the engine: no limits, no gates, one long cycle over all messages. */
const TEST_SETTINGS: Partial<Settings> = {
  redisHost: "127.0.0.1",
  intervalMs: 3_600_000,
  batchSize: 0,
  chunkMessages: 10,
  targetMaxDepth: 0,
  maxPerSecond: 0,
  consumerGate: "off",
  moogHealthCheckEnabled: false,
  moogApiKey: new Secret(PLANTED.moogApiKey),
  leaderElection: false,
};

/** Options of an engine. */
export interface EngineOptions {
  /** Overrides of the test settings: no limits, no gates, chunks of 10, one cycle over all messages. */
  readonly settings?: Partial<Settings>;
  /** Name and token for the leader lease if `settings` enable it; default: a unique token. */
  readonly name?: string;
  readonly token?: string;
  /** Timeout of a Redis command, in milliseconds; default 1,000. */
  readonly commandTimeoutMs?: number;
  /** Password of the Redis user if `settings` name one. */
  readonly password?: string;
  /** Longest pause of the loop, in milliseconds; default 20. Infinity: the service's pauses. */
  readonly longestPauseMs?: number;
  /** Windows of the source; default: none. */
  readonly windows?: readonly WindowEntry[];
  /** What the sources file says of the source; default: nothing. */
  readonly entry?: SourceEntry;
  /** Offset of its clock from this machine's, in milliseconds; default 0. */
  readonly clockShiftMs?: number;
}

/** A recorded log line. */
export interface LogLine {
  readonly level: "DEBUG" | "INFO" | "WARNING" | "ERROR";
  readonly event: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Moved messages, from the metrics. */
export interface Moved {
  readonly replayed: number;
  /** By reason, only reasons that occurred. */
  readonly dead: Readonly<Record<string, number>>;
}

/** One instance. Use it with `await using`. */
export interface Engine extends AsyncDisposable {
  readonly source: SourcePipeline;
  readonly connections: RedisConnections;
  readonly metrics: Metrics;
  readonly lines: readonly LogLine[];
  /** What it notes in the audit. */
  readonly notes: readonly NewEntry[];
  /** Runs one turn after the connections are ready. By default begins a cycle if one is due. */
  turn(options?: Partial<TurnOptions>): Promise<TurnOutcome>;
  /** Runs the loop like the service, without long pauses, from the connection until it is stopped. */
  start(): Promise<void>;
  /** Wraps the store; a test can replace its calls. */
  readonly store: WrappedStore;
  /**
   * Calls this before each commit, with the commit's number from 1. The engine treats an error from it as a failure of
   * Redis, except a failed assertion.
   */
  beforeCommit(hook: (number: number, commit: Commit) => Promise<void> | void): void;
  moved(): Promise<Moved>;
  /** Failed Redis calls by code, only codes that occurred. */
  errors(): Promise<Partial<Record<RedisErrorCode, number>>>;
  /** Commits by result, only results that occurred. */
  commits(): Promise<Partial<Record<CommitResult | "error", number>>>;
  /** Ends like a crash: cuts the connections in the middle of its work. */
  kill(): Promise<void>;
}

/**
 * Creates an engine for the source `alerter`. It connects at once and moves nothing before a turn or `start()`. `push`: how the lists are
 * pushed; default: `LPUSH`.
 */
export function createEngine(
  { port, push = "LPUSH" }: { port: number; push?: Push },
  { settings: given, name = "engine", token = createId(), ...options }: EngineOptions = {},
): Engine {
  const settings: Settings = { ...DEFAULT_SETTINGS, ...TEST_SETTINGS, redisPort: port, ...given };
  const {
    commandTimeoutMs = 1_000,
    password,
    longestPauseMs = LONGEST_PAUSE_MS,
    clockShiftMs = 0,
    windows = [],
    entry = {},
  } = options;
  const secret = password === undefined ? null : new Secret(password);
  const instance = { token, name };
  return new TestEngine(settings, {
    instance,
    commandTimeoutMs,
    longestPauseMs,
    password: secret,
    clockShiftMs,
    windows,
    entry: { ...entry, push },
  });
}

class TestEngine implements Engine {
  readonly source: SourcePipeline;
  readonly connections: RedisConnections;
  readonly metrics: Metrics;
  readonly store: WrappedStore;
  readonly lines: LogLine[] = [];
  readonly notes: NewEntry[] = [];
  readonly #loop: ReplayLoop;
  #bug: unknown;
  #commits = 0;
  #closed: Promise<void> | undefined;

  constructor(
    settings: Settings,
    { instance, commandTimeoutMs, longestPauseMs, password, clockShiftMs, windows, entry }: {
      instance: Instance;
      commandTimeoutMs: number;
      longestPauseMs: number;
      password: Secret | null;
      clockShiftMs: number;
      windows: readonly WindowEntry[];
      entry: SourceEntry;
    },
  ) {
    const clock: Clock = { ...SYSTEM_CLOCK, nowMs: () => SYSTEM_CLOCK.nowMs() + clockShiftMs };
    const log = recordTo(this.lines);
    const [setup] = createSources(settings, { sources: new Map([["alerter", entry]]), windows });
    if (!setup) throw new Error("there is no source to drive");
    const metrics = createMetrics(setup.policy.name, measuredQueues(setup.policy, setup.downstreamQueues));
    this.metrics = metrics;
    this.connections = new RedisConnections({
      clusterNodes: parseServers(settings.redisClusterNodes.join(",")) ?? [],
      ...{ url: settings.redisUrl, host: settings.redisHost, port: settings.redisPort, db: settings.redisDb },
      ...{ username: settings.redisUsername, password, passwordNext: null, tls: false, caCert: "" },
    }, {
      ...{ clock, random: SYSTEM_RANDOM, log, commandTimeoutMs },
      onReconnect: () => metrics.redisReconnects.inc(),
    });
    const live = new LiveSettings(settings);
    let wrapped: WrappedStore | undefined;
    this.source = createSourcePipeline(setup, {
      wrapStore: (store) => wrapped = new WrappedStore(store),
      ...{
        live,
        metrics,
        sloCounters: new SloCounters(),
        log,
        isConfigKnown: () => true,
        connections: this.connections,
      },
      ...{ clock, tracer: NO_TRACER, instance, chooseProxy: () => undefined },
      note: (entry) => void this.notes.push(entry),
      moogAccess: () => ({ apiKey: settings.moogApiKey ?? undefined, caCert: undefined }),
    });
    this.store = wrapped!;
    const sleep = async (ms: number, signal?: AbortSignal) => {
      await clock.sleep(Math.min(ms, longestPauseMs), signal);
      if (ms > longestPauseMs) this.#loop.wake(); // otherwise it would rest for the full time
    };
    this.#loop = new ReplayLoop(this.source.turns, {
      ...{ clock: { ...clock, sleep }, intervalMs: () => settings.intervalMs, onPass: () => {} },
      onBug: (error) => this.#bug = error,
    });
    this.source.leadership.attachLoop({ wake: () => this.#loop.wake(), isTurning: () => this.#loop.isTurning() });
  }

  async turn(
    { begin = "due", signal = new AbortController().signal }: Partial<TurnOptions> = {},
  ): Promise<TurnOutcome> {
    await this.connections.waitUntilReady(PATIENT_MS);
    await this.source.leadership.take();
    return await this.source.replay.runOnce({ begin, signal });
  }

  async start(): Promise<void> {
    await this.connections.waitUntilReady(PATIENT_MS);
    this.source.leadership.start();
    this.#loop.start();
  }

  beforeCommit(hook: (number: number, commit: Commit) => Promise<void> | void): void {
    const { hooks } = this.store, before = hooks.commitAndRead;
    hooks.commitAndRead = async (commit, bounds, store) => {
      try {
        await hook(++this.#commits, commit);
      } catch (error) {
        throw error instanceof AssertionError ? error : toStoreError(error);
      }
      return await (before?.(commit, bounds, store) ?? store.commitAndRead(commit, bounds));
    };
  }

  async moved(): Promise<Moved> {
    const [replayed, dead] = await Promise.all([this.metrics.replayed.get(), this.metrics.dead.get()]);
    return { replayed: replayed.values[0]!.value, dead: occurred(dead.values, "reason") };
  }

  async errors(): Promise<Partial<Record<RedisErrorCode, number>>> {
    return occurred((await this.metrics.redisErrors.get()).values, "code");
  }

  async commits(): Promise<Partial<Record<CommitResult | "error", number>>> {
    return occurred((await this.metrics.commits.get()).values, "result");
  }

  async kill(): Promise<void> {
    const closed = this.#close();
    await Promise.all([this.#loop.stop(), this.source.stop(), closed]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#loop.stop();
    await this.source.stop();
    await this.#close();
    watchOutput("metrics of an engine", await this.metrics.render());
    if (this.#bug !== undefined) throw this.#bug;
  }

  /** Only once: a second disconnect() of a client that connects again leaves a timer (ioredis 6). */
  #close(): Promise<void> {
    return this.#closed ??= this.connections.close();
  }
}

/** The metrics of one source. */
export function createMetrics(source: string, queues: ReturnType<typeof measuredQueues>): Metrics {
  return new Metrics({
    sources: [{ name: source, gates: GATE_NAMES, queues }],
    commitResults: [...COMMIT_RESULTS, "error"],
    redisErrorCodes: REDIS_ERROR_CODES,
    ...{ version: "test", commit: "test" },
    readProcessUsage: () => ({ residentBytes: 0, cpuSeconds: 0, startedAtSeconds: 0 }),
  });
}

function recordTo(lines: LogLine[]): Log {
  type Fields = Record<string, unknown>;
  const at = (level: LogLine["level"]) => (event: string, given: string | (() => string), fields: Fields = {}) => {
    const message = typeof given === "string" ? given : given();
    lines.push({ level, event, message, fields });
    watchLogLine(event, message, fields);
  };
  const log: Log = {
    ...{ debug: at("DEBUG"), info: at("INFO"), warning: at("WARNING"), error: at("ERROR") },
    child: () => log,
  };
  return log;
}

function occurred(
  values: readonly { value: number; labels: Partial<Record<string, string | number>> }[],
  label: string,
): Record<string, number> {
  return Object.fromEntries(
    values.filter(({ value }) => value > 0).map(({ value, labels }) => [String(labels[label]), value]),
  );
}

const API_KEY = JSON.stringify(PLANTED.messageApiKey);

/** An event that the alerter accepts, unique by `id`. Its first member is a secret, as in the resulting alerts. */
export function eventText(id: string | number, more = ""): string {
  return `{"api_key": ${API_KEY}, "id": "${id}", "hostname": "h", "timestamp": "2025-01-15T14:30:29Z", "message": "m"${more}}`;
}

/** Creates this many events with ids from `first`, oldest first. */
export function eventTexts(count: number, first = 0): string[] {
  return Array.from({ length: count }, (_, i) => eventText(first + i));
}

/** Replaces the instants in stamps by the epoch, so that texts can be compared. */
export function withoutInstants(text: string): string {
  return text.replaceAll(/"since": \d+/g, '"since": 0');
}

/** The event as a cycle replays it, {@link withoutInstants}. */
export function replayedText(
  text: string,
  { failures = 0, evidence = 0, cycle = 1 }: { failures?: number; evidence?: number; cycle?: number } = {},
): string {
  const count = failures === 0 ? 0 : failures.toFixed(1);
  const record = `{"failures": ${count}, "evidence": ${evidence}, "since": 0, "cycle": ${cycle}, "source": "alerter"}`;
  return `${text.slice(0, -1)}, "_remediation": ${record}}`;
}

/** The `id` of an event with any stamps. */
export function idOf(message: string | Uint8Array): string {
  const text = typeof message === "string" ? message : new TextDecoder().decode(message);
  return /"id": "([^"]*)"/.exec(text)?.[1] ?? text;
}

/** Every list of the source, oldest first, with one character per byte. */
export interface Lists {
  readonly dlq: readonly string[];
  readonly target: readonly string[];
  readonly dead: readonly string[];
  /** Absent if empty. */
  readonly oversize?: readonly string[];
}

/** The list of messages that are too large to read. */
export const OVERSIZE = oversizeKey(DLQ);

/** Reads every list {@link withoutInstants}. */
export async function readLists(redis: { readList(key: string): Promise<Buffer[]> }): Promise<Lists> {
  const lists = await Promise.all([DLQ, TARGET, DEAD, OVERSIZE].map((key) => redis.readList(key)));
  const [dlq, target, dead, oversize] = lists.map((list) =>
    list.map((bytes) => withoutInstants(bytes.toString("latin1")))
  );
  return { dlq: dlq!, target: target!, dead: dead!, ...(oversize!.length > 0 ? { oversize: oversize! } : {}) };
}

/** Waits until a list is empty. */
export async function waitUntilEmpty(
  redis: { client(): { llen(key: string): Promise<number> } },
  key: string,
  timeoutMs = 10_000,
): Promise<void> {
  const client = redis.client();
  await waitUntil(async () => await client.llen(key) === 0, { what: `${key} is empty`, timeoutMs });
}

/**
 * Creates only the store of the source `alerter`, over the test's own connections. `push`: how its lists are pushed; default: `LPUSH`.
 * `entry`: what the sources file says of it; default: nothing.
 */
export function createStore(
  redis: { client(): Redis; readonly push?: Push },
  { entry = {}, ...options }: { token?: string; mostRecords?: number; entry?: SourceEntry } = {},
): DeadLetterStore {
  const [reader, committer, mover] = [redis.client(), redis.client(), redis.client()];
  return new DeadLetterStore({ reader, committer, mover }, policyOf(redis, entry), options);
}

/** The source `alerter`, with lists that are pushed so; default: `LPUSH`. `entry`: what the sources file says of it; default: nothing. */
export function policyOf({ push = "LPUSH" }: { readonly push?: Push }, entry: SourceEntry = {}): SourcePolicy {
  const sources = new Map([["alerter", { ...entry, push }]]);
  return createSources(DEFAULT_SETTINGS, { sources, windows: [] })[0]!.policy;
}

/** Invalid values for whole numbers of the state; each reads as 0. */
export const ODD_NUMBERS: readonly (readonly [name: string, value: string | Buffer])[] = [
  ["bytes that are no UTF-8", Buffer.from([0x31, 0xff, 0xfe])],
  ["nothing", ""],
  ["nan", "nan"],
  ["inf", "inf"],
  ["sixteen digits", "1234567890123456"],
  ["negative", "-1"],
  ["a fraction", "1.5"],
  ["hexadecimal", "0x10"],
  ["a number with a line feed", "1\n"],
];

/** Dumps every key, to test whether a call changed anything. */
export async function dumpKeys(client: Redis): Promise<Record<string, string>> {
  const keys = (await client.keys("*")).sort();
  const dumps = await Promise.all(keys.map((key) => client.dumpBuffer(key)));
  return Object.fromEntries(keys.map((key, i) => [key, dumps[i]!.toString("latin1")]));
}
