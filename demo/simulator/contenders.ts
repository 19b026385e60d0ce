/** Who may heal the pipeline: MUTT's own service, this one, or nobody. */
import { knownVariables } from "../../src/config/fields.ts";
import { type Service, startService } from "../../testkit/service.ts";
import type { RateLimit } from "../../testkit/mutt/forwarder.ts";
import { startOriginal } from "../../testkit/mutt/original.ts";
import type { SimClock } from "../../testkit/mutt/sim_clock.ts";
import type { Worker } from "../../testkit/mutt/worker.ts";

/** `REMEDIATION_INTERVAL` of both, by default. */
export const INTERVAL_SECONDS = 300;

/** What a contender gets to work with. */
export interface Setting {
  readonly redisUrl: string;
  readonly moogUrl: string;
  readonly clock: SimClock;
  readonly rate: RateLimit;
  readonly intervalSeconds: number;
  /** An existing folder to work in. */
  readonly dir: string;
}

/** One contender. */
export interface Contender {
  /** On the command line. */
  readonly name: string;
  /** Heading of its column. */
  readonly title: string;
  start(setting: Setting): Promise<Worker>;
}

/** How this service is started. */
export interface OursOptions {
  /** Gets its log at the end; absent: nothing. */
  readonly logFile?: string | undefined;
  /** Variables on top of those that an incident needs. */
  readonly env?: Readonly<Record<string, string>>;
}

/** This service, as a process of its own, draining these sources. */
export function createOurs(sources: string, options: OursOptions = {}): Contender {
  return { name: "ours", title: `ours (${sources})`, start: (setting) => startOurs(setting, { sources, ...options }) };
}

/** The original, with its default batch or the one that its runbook suggests for a large backlog. */
export function createOriginal(batchSize: number): Contender {
  return {
    name: batchSize === 10 ? "original" : `original-${batchSize}`,
    title: batchSize === 10 ? "original" : `original, ${batchSize} a cycle`,
    start: (setting) => Promise.resolve(startOriginal({ ...setting, batchSize })),
  };
}

/** No remediation at all: what the pipeline does by itself. */
export const NOBODY: Contender = {
  name: "nobody",
  title: "nobody",
  start: () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    return Promise.resolve({ running: promise, stop: () => Promise.resolve(resolve()) });
  },
};

/** The sources that the service in `src/` knows. */
export function defaultSources(): string {
  return knownVariables().includes("REMEDIATION_SOURCES") ? "alerter,moog" : "alerter";
}

/** Every duration of the service's own, divided as all others are; it counts whole seconds, so none is under one. */
export function environmentOf({ redisUrl, moogUrl, clock, rate, intervalSeconds }: Setting, sources: string) {
  const compressed = (seconds: number) => String(Math.max(1, Math.round(clock.realMs(seconds * 1_000) / 1_000)));
  const environment: Record<string, string> = {
    REDIS_URL: redisUrl,
    REMEDIATION_SOURCES: sources,
    REMEDIATION_INTERVAL: compressed(intervalSeconds),
    REMEDIATION_BATCH_SIZE: "0",
    MOOG_WEBHOOK_URL: moogUrl,
    MOOG_HEALTH_CACHE_SECONDS: compressed(60),
    MOOG_HEALTH_TIMEOUT: compressed(5),
    MOOG_RATE_LIMIT: String(rate.limit),
    MOOG_RATE_PERIOD: compressed(rate.periodSeconds),
    CIRCUIT_BREAKER_TIMEOUT: compressed(300),
    // In real time, each source has its own default.
    ...clock.factor === 1 ? {} : { REMEDIATION_SETTLE: compressed(70) },
    REMEDIATION_CANARY_AFTER: compressed(60),
    LOG_LEVEL: "INFO",
    LOG_JSON_ENABLED: "true",
    POD_NAME: "simulator",
  };
  const known = new Set(knownVariables());
  return Object.fromEntries(Object.entries(environment).filter(([name]) => known.has(name)));
}

const START_TIMEOUT_MS = 30_000, STOP_TIMEOUT_MS = 5_000;

async function startOurs(
  setting: Setting,
  { sources, logFile, env = {} }: OursOptions & { sources: string },
): Promise<Worker> {
  const service = startService({ cwd: setting.dir, env: { ...environmentOf(setting, sources), ...env } });
  try {
    await service.ports({ timeoutMs: START_TIMEOUT_MS });
  } catch (error) {
    await service[Symbol.asyncDispose]();
    throw error;
  }
  let stopping = false;
  const running = service.exit.then(() => {
    if (!stopping) throw new Error(`the service ended by itself\n${service.stderr.slice(-20).join("\n")}`);
  });
  running.catch(() => {}); // handled by the caller, who awaits it
  return {
    running,
    async stop() {
      if (stopping) return void await service.exit;
      stopping = true;
      await stopService(service);
      const lines = [...service.stdout, ...service.stderr].map((line) => `${line}\n`).join("");
      if (logFile !== undefined) await Deno.writeTextFile(logFile, lines, { append: true });
    },
  };
}

/** By SIGTERM, as an operator would. */
async function stopService(service: Service): Promise<void> {
  service.signal("SIGTERM");
  const late = setTimeout(() => service.signal("SIGKILL"), STOP_TIMEOUT_MS);
  await service.exit;
  clearTimeout(late);
}
