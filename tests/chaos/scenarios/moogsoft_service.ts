/** Moogsoft goes wrong under the service as it is shipped: one process for all rounds, so that what it leaks adds up. */
import type { SeededRandom } from "../../../testkit/mutt/random.ts";
import { DEAD, DLQ, type Moved, OVERSIZE, TARGET } from "../../../testkit/engine.ts";
import { startRedis, type TestRedis } from "../../../testkit/redis.ts";
import { type Service, startService } from "../../../testkit/service.ts";
import { waitUntil } from "../../../testkit/wait.ts";
import { addFindings, brokenPromises, type Findings, NOTHING } from "../harness/oracle.ts";
import { pause } from "../harness/pause.ts";
import type { Scenario, ScenarioContext } from "../harness/scenario.ts";
import { API_KEY, MOOG_FAULTS, type MoogFault, Moogsoft } from "./moogsoft_faults.ts";
import { Books, type Counting, distinctMessages, MAX_MESSAGE_BYTES } from "./network_books.ts";

/** What is healthy counts for a cache time, a grace of as much and a timeout at most: 3 s; then there is the next turn. */
const KNOWN_MS = 8_000, DRAINED_MS = 15_000;
/** How long `/health` may take, whatever Moogsoft does. */
const HEALTH_MS = 1_000;
/** More than the process ever needs, and far less than one body. */
const MOST_RESIDENT_BYTES = 256e6;

/** Every fault in turn against the real process, a large body first. */
export const MOOGSOFT_SERVICE: Scenario = {
  name: "moogsoft-service",
  about: "lets Moogsoft go wrong under the real process, and watches its memory, its health page and its connections",
  rounds: { short: 2, full: 4 * MOOG_FAULTS.length },
  leases: ["on"],
  run: runService,
};

async function runService({ random, rounds, signal, tell }: ScenarioContext) {
  const redis = await startRedis();
  try {
    await using moog = await Moogsoft.start();
    await using service = startService({ env: environment({ redis, moog }) });
    const process = await Process.of(service);
    const faults = planFaults({ random, rounds });
    const resident: number[] = [];
    let findings = NOTHING;
    for (const fault of faults) {
      if (signal.aborted) break;
      findings = addFindings(findings, await playRound({ redis, moog, process, fault, random }));
      resident.push(await process.residentBytes());
      if (resident.length % 14 === 0) {
        tell(`${resident.length} of ${rounds} rounds, ${toMb(resident.at(-1)!)} MB resident`);
      }
    }
    const highest = Math.max(0, ...resident);
    if (highest > MOST_RESIDENT_BYTES) {
      findings = addFindings(findings, brokenPromises([`${highest} bytes were resident`]));
    }
    const figures = {
      ...{ probes: moog.sent.requests, "kB sent of large bodies": Math.round(moog.sent.bytes / 1e3) },
      ...{ "resident MB after 1 round": toMb(resident[0] ?? 0), "halfway": toMb(resident[resident.length >> 1] ?? 0) },
      ...{ "at the end": toMb(resident.at(-1) ?? 0), "highest": toMb(highest) },
    };
    return { rounds: resident.length, findings, figures };
  } finally {
    await redis.stop();
  }
}

/** First the large bodies, then the others, over and over. */
function planFaults({ random, rounds }: { random: SeededRandom; rounds: number }): MoogFault[] {
  const shuffled = random.shuffle(MOOG_FAULTS);
  const faults = [...shuffled.filter(({ kind }) => kind === "up"), ...shuffled.filter(({ kind }) => kind !== "up")];
  return Array.from({ length: rounds }, (_, i) => faults[i % faults.length]!);
}

function environment({ redis, moog }: { redis: TestRedis; moog: Moogsoft }): Record<string, string> {
  return {
    ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_INTERVAL: "1" },
    ...{ REMEDIATION_BATCH_SIZE: "0", REMEDIATION_CHUNK_MESSAGES: "5", REMEDIATION_TARGET_MAX_DEPTH: "0" },
    ...{ REMEDIATION_MAX_PER_SECOND: "100", REMEDIATION_MAX_MESSAGE_BYTES: String(MAX_MESSAGE_BYTES) },
    // What arrives while Moogsoft is away would look like what comes back.
    REMEDIATION_BRAKE_ENABLED: "false",
    ...{ MOOG_WEBHOOK_URL: moog.url, MOOG_API_KEY: API_KEY },
    ...{ MOOG_HEALTH_CACHE_SECONDS: "1", MOOG_HEALTH_TIMEOUT: "1" },
  };
}

/** The process, as its ports show it. */
class Process implements Counting {
  readonly #ports: { health: number; metrics: number };
  #before: Moved = { replayed: 0, dead: {} };

  private constructor(ports: { health: number; metrics: number }) {
    this.#ports = ports;
  }

  static async of(service: Service): Promise<Process> {
    return new Process(await service.ports());
  }

  /** Counts from here. */
  async mark(): Promise<void> {
    this.#before = await this.#counted();
  }

  /** What was moved since the mark. */
  async moved(): Promise<Moved> {
    const { replayed, dead } = await this.#counted();
    const since = Object.entries(dead).map(([reason, count]) => [reason, count - (this.#before.dead[reason] ?? 0)]);
    return { replayed: replayed - this.#before.replayed, dead: Object.fromEntries(since) };
  }

  async residentBytes(): Promise<number> {
    return (await this.#metrics()).get("process_resident_memory_bytes") ?? NaN;
  }

  /** Whether it says that Moogsoft is down, and that nothing goes therefore. */
  async knowsDown(): Promise<boolean> {
    const metrics = await this.#metrics();
    const gate = metrics.get('mutt_remediation_gate_open{source="alerter",gate="downstream"}');
    return metrics.get("mutt_remediation_moog_health") === 0 && gate === 0;
  }

  async isHealthy(): Promise<boolean> {
    const signal = AbortSignal.timeout(HEALTH_MS);
    try {
      const response = await fetch(`http://127.0.0.1:${this.#ports.health}/health`, { signal });
      return await response.text() === "OK";
    } catch {
      return false;
    }
  }

  async #counted(): Promise<Moved> {
    const dead: Record<string, number> = {};
    const metrics = await this.#metrics();
    for (const [series, value] of metrics) {
      const reason = /^mutt_remediation_dead_total\{.*reason="([a-z]+)"/.exec(series)?.[1];
      if (reason) dead[reason] = value;
    }
    return { replayed: metrics.get("mutt_remediation_replay_success_total") ?? NaN, dead };
  }

  async #metrics(): Promise<Map<string, number>> {
    // What asking costs the process is not to be what is measured.
    await pause(50);
    const text = await (await fetch(`http://127.0.0.1:${this.#ports.metrics}/metrics`)).text();
    const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]));
  }
}

interface Scene {
  readonly redis: TestRedis;
  readonly moog: Moogsoft;
  readonly process: Process;
  readonly fault: MoogFault;
  readonly random: SeededRandom;
}

/** The fault begins, messages arrive, it lasts for a while and ends, all is drained. */
async function playRound(scene: Scene): Promise<Findings> {
  const { redis, moog, process, fault, random } = scene;
  const client = redis.client();
  await client.del(TARGET, DEAD, OVERSIZE);
  await process.mark();
  const messages = distinctMessages(50 + random.below(100), random), books = new Books(messages);
  await moog.break(fault);
  const before = moog.sent, problems: string[] = [];
  if (fault.kind === "down") {
    await waitUntil(() => process.knowsDown(), { what: "it knows", timeoutMs: KNOWN_MS })
      .catch(() => problems.push("it is not known to be down"));
  }
  await redis.seedList(DLQ, messages);
  problems.push(...await last(scene));
  if (fault.kind === "up") {
    await waitUntil(() => moog.sent.bytes > before.bytes, { what: "a probe gets a large body" })
      .catch((error) => problems.push(error.message));
  }
  problems.push(...moog.readTooMuch(before));
  await moog.heal();
  await waitUntil(async () => await client.llen(DLQ) === 0, { what: "drained", timeoutMs: DRAINED_MS }).catch(() => {});
  await waitUntil(async () => await books.miscounted([process]) === 0, { what: "counted" }).catch(() => {});
  await waitUntil(() => moog.connections === 0, { what: "no connection is left" })
    .catch(() => problems.push(`${moog.connections} connections are left`));
  if (moog.astray > 0) problems.push(`${moog.astray} probes went to another host`);
  if (!await process.isHealthy()) problems.push("/health does not say OK at the end");
  const about = `Moogsoft ${fault.name}`;
  const findings = await books.check(redis, { engines: [process], inOrder: true, about });
  return addFindings(findings, brokenPromises(problems.map((what) => `${about}: ${what}`)));
}

/** Lets the fault last. @returns what is wrong meanwhile. */
async function last({ redis, moog, process, fault, random }: Scene): Promise<string[]> {
  const client = redis.client(), problems = new Set<string>();
  const untilMs = performance.now() + 500 + random.below(2_000);
  for (let isBroken = true; performance.now() < untilMs; isBroken = !isBroken) {
    if (fault.kind === "flaps") await (isBroken ? moog.heal() : moog.break(fault));
    await pause(100);
    if (!await process.isHealthy()) problems.add("/health does not say OK");
    if (fault.kind !== "down") continue;
    const replayed = await client.llen(TARGET) + await client.llen(DEAD) + await client.llen(OVERSIZE);
    if (replayed > 0) problems.add(`${replayed} were moved while it is down`);
  }
  return [...problems];
}

function toMb(bytes: number): number {
  return Math.round(bytes / 1e6);
}
