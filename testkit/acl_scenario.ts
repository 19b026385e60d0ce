/** Runs everything that the service does in Redis as one user, in a few seconds, to test its ACL rules. */
import { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import { createCommandContext } from "../src/app/command_context.ts";
import type { AppOptions } from "../src/app/core.ts";
import { runService } from "../src/app/service.ts";
import { check } from "../src/operations/check.ts";
import { jobsConfirm } from "../src/operations/jobs_confirm.ts";
import { jobsUndo } from "../src/operations/jobs_undo.ts";
import { once } from "../src/operations/once.ts";
import { replaceMessage } from "../src/operations/replace_message.ts";
import { messageId } from "../src/message/message_id.ts";
import { DEFAULT_SETTINGS, type Settings } from "../src/config/fields.ts";
import type { SourceEntry } from "../src/config/source_fields.ts";
import type { BuiltInName, SourcesFile } from "../src/config/sources.ts";
import { Secret } from "../src/runtime/secret.ts";
import { SYSTEM_CLOCK } from "../src/runtime/clock.ts";
import { SYSTEM_RANDOM } from "../src/runtime/random.ts";
import { JournalStore } from "../src/redis/journal_store.ts";
import { jobsKey, oversizeKey, stateKey } from "../src/redis/keys.ts";
import { drive, startDrill } from "./drills.ts";
import { createEngine, createStore, DEAD, DLQ, eventText, eventTexts, TARGET } from "./engine.ts";
import { type HttpStub, startHttpStub } from "./http_stub.ts";
import { runJob, startJob } from "./jobs.ts";
import { operatorContext } from "./operator_context.ts";
import { PLANTED } from "./planted_secrets.ts";
import { type RecordedLine, recordLog } from "./recorded_log.ts";
import type { TestRedis } from "./redis.ts";
import { startTcpProxy, type TcpProxy } from "./tcp_proxy.ts";
import { PATIENT_MS, waitUntil } from "./wait.ts";

/** The user. */
export const USER = "remediation";
const DLQS = { alerter: DLQ, moog: DEFAULT_SETTINGS.moogDlq };
const ALERT_QUEUE = DEFAULT_SETTINGS.alertQueue;
const RATE_KEY = DEFAULT_SETTINGS.moogRateLimitKey;
const MAX_MESSAGE_BYTES = 4_096;
const DRAIN_MS = 20_000;

/** Options of a scenario. */
export interface ScenarioOptions {
  /** Database number; default: not 0. */
  readonly db?: number;
  /** Default: both. */
  readonly sources?: readonly BuiltInName[];
  /** Lists of a declared source; default: none. */
  readonly own?: SourceEntry | null;
}

/** ECHO that marks the end of a recording. */
const END_OF_RECORD = "end of the record";

/** A command that Redis ran, with shortened arguments. */
export type Sent = readonly string[];

/** Recreates the user with only these rules. */
export async function setUser(redis: TestRedis, rules: readonly string[]): Promise<void> {
  await redis.client().call("ACL", "SETUSER", USER, "reset", "on", `>${AclScenario.PASSWORD}`, ...rules);
}

/** Reads the user's denials from `ACL LOG`: `command:flushall`, `key:secret`, `channel:c`. */
export async function refusals(redis: TestRedis): Promise<string[]> {
  const entries = await redis.client().call("ACL", "LOG", 128) as unknown[][];
  return entries.flatMap((flat) => {
    const entry = new Map(flat.map((value, at) => [String(value), flat[at + 1]]));
    return entry.get("username") === USER ? [`${entry.get("reason")}:${entry.get("object")}`] : [];
  }).sort();
}

/** A server with MUTT's keys and a fake Moogsoft. Use it with `await using`. */
export class AclScenario implements AsyncDisposable {
  static readonly PASSWORD = PLANTED.redisPassword;
  /** Not 0, so that the service sends SELECT. */
  static readonly DB = 1;
  readonly lines: RecordedLine[];
  readonly #redis: TestRedis;
  readonly #client: Redis;
  readonly #db: number;
  readonly #sources: readonly BuiltInName[];
  readonly #file: SourcesFile;
  readonly #moog: HttpStub;
  readonly #proxy: TcpProxy;
  readonly #log: AppOptions["log"];

  private constructor(
    redis: TestRedis,
    { moog, db, sources, own }: { moog: HttpStub } & Required<ScenarioOptions>,
  ) {
    this.#redis = redis;
    this.#db = db;
    this.#sources = sources;
    this.#file = { sources: new Map(own ? [["own", own]] : []), windows: [] };
    this.#client = redis.client({ db });
    this.#moog = moog;
    this.#proxy = startTcpProxy({ port: redis.port });
    const { log, lines } = recordLog();
    this.#log = log;
    this.lines = lines;
  }

  /** Prepares server and keys without starting anything. */
  static async start(
    redis: TestRedis,
    rules: readonly string[],
    { db = AclScenario.DB, sources = ["alerter", "moog"], own = null }: ScenarioOptions = {},
  ): Promise<AclScenario> {
    const scenario = new AclScenario(redis, { moog: await startHttpStub(), db, sources, own });
    const client = scenario.#client;
    await client.mset({
      ...{ "mutt:heartbeat:alerter:pod": "1", "mutt:heartbeat:moog:pod": "1" },
      ...{ "mutt:circuit_breaker:moogsoft:state": "CLOSED", "mutt:circuit_breaker:moogsoft:failures": "0" },
      "mutt:config:moog_rate_limit": "1000",
    });
    await client.zadd(RATE_KEY, 1, "long-ago");
    // As after an outage, so that the service picks a canary group.
    await client.hset(stateKey(DLQS.alerter), { suspect: "1", allowance: "4", brakeReason: "outage" });
    await setUser(redis, rules);
    await client.call("ACL", "LOG", "RESET");
    await client.config("RESETSTAT");
    return scenario;
  }

  /** Fills each DLQ with messages of every outcome: replayed, unreadable, too large. */
  async seed(): Promise<void> {
    const large = eventText("large", `, "padding": "${"x".repeat(MAX_MESSAGE_BYTES)}"`);
    for (const source of this.#sources) {
      await this.#client.lpush(DLQS[source], ...eventTexts(12), "not JSON", large, ...eventTexts(12, 12));
    }
  }

  /** Number of messages by list. */
  async depths(): Promise<Record<string, number>> {
    const lists = [DLQS.alerter, DLQS.moog, TARGET, ALERT_QUEUE, DEAD, ...Object.values(DLQS).map(oversizeKey)];
    return Object.fromEntries(await Promise.all(lists.map(async (key) => [key, await this.#client.llen(key)])));
  }

  /**
   * Runs the service until both DLQs are empty and every background task has run, or, on request, until Redis denies a
   * command.
   * One commit loses its reply. Resolves with the service's count of NOPERM.
   */
  async run({ until = "drained" }: { until?: "drained" | "refused" } = {}): Promise<number> {
    const stop = new AbortController();
    if (until === "drained") void this.#proxy.cut("before_reply", { texts: ['"id": "7"'] });
    const running = runService(this.#options(stop.signal));
    try {
      const isDone = until === "refused"
        ? async () => (await refusals(this.#redis)).length > 0
        : async () => await this.#isDrained() && await this.#hasLooked();
      await waitUntil(isDone, {
        what: until === "refused" ? "something is refused" : "the DLQs are empty",
        timeoutMs: DRAIN_MS,
      });
      return await this.#countNoperm();
    } finally {
      stop.abort();
      await running;
    }
  }

  /** `check --probe`. */
  async check(): Promise<string[]> {
    const { findings } = await check.run(createCommandContext(this.#options()), { probe: true });
    return findings.map(({ level, subject, text }) => `${level} ${subject}: ${text}`);
  }

  /** `once`, or `once --dry-run`. */
  async once({ dryRun }: { dryRun: boolean }): Promise<string> {
    const result = await once.run(createCommandContext(this.#options()), { dryRun, force: false, source: null });
    return result.ok ? "ok" : result.problems.join("; ");
  }

  /** Reads the journal of the moves from both ends, whether it may or not. */
  async readJournal(): Promise<void> {
    const client = this.#redis.client({
      ...{ username: USER, password: AclScenario.PASSWORD, db: this.#db },
      ...{ enableReadyCheck: false, disableClientInfo: true },
    });
    const store = new JournalStore({ reader: client, committer: client });
    for (const newestFirst of [true, false]) {
      await store.read({ dlq: DLQ }, { newestFirst, count: 1 }).catch(() => {});
    }
  }

  /** Jobs of an operator over all messages of the first source, the id of one that is long gone, and an edit. */
  async work(): Promise<void> {
    const texts = ["not JSON", ...eventTexts(3)];
    await this.#client.lpush(DLQS.alerter, ...texts);
    await this.#client.zadd(jobsKey(DLQS.alerter), 1, "gone");
    const settings = { redisUsername: USER, redisDb: this.#db, maxMessageBytes: MAX_MESSAGE_BYTES };
    await using engine = createEngine({ port: this.#proxy.port }, { settings, password: AclScenario.PASSWORD });
    const id = await startJob(engine, { verb: "purge", texts: texts.slice(1) });
    await runJob(engine);
    if ((await engine.source.jobs.list()).find((job) => job.id === id)?.result?.trashed !== 3) {
      throw new Error("the job has not purged its messages");
    }
    await this.#client.lpush(DLQS.alerter, ...eventTexts(1));
    const buried = await startJob(engine, { verb: "bury", texts: eventTexts(1) });
    await runJob(engine);
    const context = operatorContext(engine), source = "alerter";
    const { job: undone } = await jobsUndo.run(context, { source, id: buried, reason: "" });
    await jobsConfirm.run(context, { source, id: undone.id });
    await runJob(engine);
    if ((await engine.source.jobs.get(undone.id))?.result?.returned !== 1) throw new Error("nothing came back");
    const edited = {
      list: "dlq",
      id: messageId(Buffer.from(texts[0]!)),
      payload: Buffer.from(eventText("edited")),
      reason: "",
    } as const;
    await replaceMessage(context, engine.source, edited);
    await this.#client.ltrim(DLQS.alerter, 1, 0);
  }

  /** A drill over the first source, to its report. */
  async drill(): Promise<void> {
    const settings = { redisUsername: USER, redisDb: this.#db, intervalMs: 1, consumerLagMs: 0 };
    await using engine = createEngine({ port: this.#proxy.port }, { settings, password: AclScenario.PASSWORD });
    const id = await startDrill(engine, { messages: 3, holdMs: 1 });
    await drive(
      engine,
      async () => (await engine.source.drills.reports()).some((text) => text.includes(id)),
      "its end",
    );
    await engine.source.drills.expireLeftovers();
  }

  /** A failed read, and the next one, which must abandon the first one's WATCH. */
  async failRead(): Promise<void> {
    await this.#client.set(DLQ, "no list");
    const login = {
      username: USER,
      password: AclScenario.PASSWORD,
      db: this.#db,
      enableReadyCheck: false,
      disableClientInfo: true,
    };
    const clients: Redis[] = [];
    const open = () => {
      const client = this.#redis.client(login);
      clients.push(client);
      return client;
    };
    const store = createStore({ client: open });
    const bounds = { messages: 1, bytes: 1, messageBytes: 1 };
    for (let i = 0; i < 2; i++) await store.readForCommit(bounds).catch(() => {});
    // Where DISCARD is refused, the connection is made anew. The timers of that must be over when the test ends.
    await new Promise((resolve) => setTimeout(resolve, 5));
    const areReady = () => Promise.resolve(clients.every(({ status }) => status === "ready"));
    await waitUntil(areReady, { what: "the connections are ready" });
    await new Promise((resolve) => setTimeout(resolve, 5));
    await this.#client.del(DLQ);
  }

  /** Records the user's commands while the body runs, including those in scripts. */
  async record(body: () => Promise<void>): Promise<Sent[]> {
    const monitor = await this.#redis.monitor();
    const sent = new Map<string, Sent>();
    let isUsers = false, isOver = false;
    const own = await this.#addresses();
    monitor.on("monitor", (_time: string, args: string[], source: string) => {
      isOver ||= args[0]?.toLowerCase() === "echo" && args[1] === END_OF_RECORD;
      // Commands of a script follow the call of the script.
      if (source !== "lua") isUsers = !own.has(source);
      if (!isUsers) return;
      const short = args.map((arg) => arg.slice(0, 64));
      sent.set(JSON.stringify(short), short);
    });
    await body();
    await this.#client.echo(END_OF_RECORD);
    await waitUntil(() => isOver, { what: "all is recorded" });
    monitor.disconnect();
    return [...sent.values()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#moog.stop(), this.#proxy.stop()]);
  }

  async #addresses(): Promise<ReadonlySet<string>> {
    const text = String(await this.#client.client("LIST"));
    return new Set([...text.matchAll(/ addr=(\S+)/g)].map(([, address]) => address!));
  }

  async #isDrained(): Promise<boolean> {
    return await this.#client.llen(DLQS.alerter) + await this.#client.llen(DLQS.moog) === 0;
  }

  /** The last background steps: the second read of live alerts, and the subscription to dynamic keys. */
  async #hasLooked(): Promise<boolean> {
    const stats = await this.#client.info("commandstats"), refused = await refusals(this.#redis);
    const count = (name: string) => {
      const fields = new RegExp(`cmdstat_${name}:calls=(\\d+)(?:.*rejected_calls=(\\d+))?`).exec(stats);
      // Redis 6.0 does not count what it has rejected.
      if (fields?.[2] === undefined && refused.includes(`command:${name}`)) return Infinity;
      return Number(fields?.[1] ?? 0) + Number(fields?.[2] ?? 0);
    };
    return count("zrevrangebyscore") >= 2 && count("subscribe") >= 1;
  }

  async #countNoperm(): Promise<number> {
    const listening = this.lines.findLast(({ event }) => event === "listening");
    const text = await (await fetch(`http://127.0.0.1:${listening?.fields?.metrics_port}/metrics`)).text();
    return Number(/^mutt_remediation_redis_errors_total\{code="NOPERM"\} (\d+)/m.exec(text)?.[1] ?? NaN);
  }

  #options(signal: AbortSignal = new AbortController().signal): AppOptions {
    const settings: Settings = {
      ...DEFAULT_SETTINGS,
      ...{ redisHost: "127.0.0.1", redisPort: this.#proxy.port, redisDb: this.#db },
      ...{ redisUsername: USER, redisPassword: new Secret(AclScenario.PASSWORD) },
      ...{ sources: this.#sources, batchSize: 0, chunkMessages: 5, maxMessageBytes: MAX_MESSAGE_BYTES },
      ...{ intervalMs: 1_000, consumerLagMs: 0, dynamicConfigEnabled: true, consumerGate: "auto" },
      // Messages in the queues count against the limit, and no consumer takes them.
      moogRateLimit: 1_000,
      ...{ moogWebhookUrl: this.#moog.url, moogHealthTimeoutMs: PATIENT_MS },
      ...{ bindAddress: "127.0.0.1", metricsPort: 0, healthPort: 0 },
    };
    return { settings, sourcesFile: this.#file, log: this.#log, clock: SYSTEM_CLOCK, random: SYSTEM_RANDOM, signal };
  }
}
