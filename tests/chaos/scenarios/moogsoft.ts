/** Moogsoft goes wrong while a source is drained: instances in this process, rounds of about a second. */
import { SeededRandom } from "../../../testkit/mutt/random.ts";
import type { Settings } from "../../../src/config/fields.ts";
import { Secret } from "../../../src/runtime/secret.ts";
import { DLQ, type Engine, TARGET } from "../../../testkit/engine.ts";
import { startRedis, type TestRedis } from "../../../testkit/redis.ts";
import { waitUntil } from "../../../testkit/wait.ts";
import { addFindings, brokenPromises, type Findings, NOTHING } from "../harness/oracle.ts";
import { pause } from "../harness/pause.ts";
import type { LeaseMode, Scenario, ScenarioContext } from "../harness/scenario.ts";
import { API_KEY, MOOG_FAULTS, type MoogFault, Moogsoft } from "./moogsoft_faults.ts";
import { Books, distinctMessages } from "./network_books.ts";
import { createRoundEngine } from "./network_engine.ts";

/** Rounds at a time, each with a Redis of its own: most of a round is waiting. */
const LANES = 3;
/** How long an answer holds, and how long a probe may take. */
const CACHE_MS = 50, TIMEOUT_MS = 200;
/** By then it is known that Moogsoft is down, whatever was known before. */
const KNOWN_MS = 5_000;
const DRAINED_MS = 15_000;

interface Round {
  readonly fault: MoogFault;
  readonly seed: number;
  readonly instances: 1 | 3;
  readonly lease: LeaseMode;
}

/** Fault × number of instances, from the start of a cycle or in the midst of it. */
export const MOOGSOFT: Scenario = {
  name: "moogsoft",
  about: "lets Moogsoft refuse, reset, hang, flood, redirect and flap while messages wait for it",
  rounds: { short: MOOG_FAULTS.length, full: 30 * MOOG_FAULTS.length },
  run: runMoogsoft,
};

async function runMoogsoft(context: ScenarioContext) {
  const rounds = planRounds(context);
  const figures = { probes: 0, "MB sent of large bodies": 0 };
  let findings = NOTHING, played = 0;
  const lane = async () => {
    const redis = await startRedis();
    try {
      for (let round; !context.signal.aborted && (round = rounds.shift());) {
        await using moog = await Moogsoft.start();
        const found = await playRound(redis, { moog, round });
        findings = addFindings(findings, found);
        figures.probes += moog.sent.requests;
        figures["MB sent of large bodies"] += Math.round(moog.sent.bytes / 1e6);
        if (++played % 100 === 0) context.tell(`${played} of ${context.rounds} rounds`);
      }
    } finally {
      await redis.stop();
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return { rounds: played, findings, figures };
}

function planRounds({ random, rounds, lease }: ScenarioContext): Round[] {
  const faults = random.shuffle(MOOG_FAULTS);
  return Array.from({ length: rounds }, (_, i) => ({
    fault: faults[i % faults.length]!,
    instances: random.pick([1, 3]),
    lease,
    seed: random.below(2 ** 32),
  }));
}

async function playRound(redis: TestRedis, { moog, round }: { moog: Moogsoft; round: Round }): Promise<Findings> {
  const { fault, instances, lease, seed } = round;
  const about = `Moogsoft ${fault.name}, ${instances} instances, seed ${seed}`;
  const random = new SeededRandom(seed);
  await redis.client().flushall();
  const messages = distinctMessages(100 + random.below(100), random);
  await redis.seedList(DLQ, messages);
  const books = new Books(messages);
  const isMidway = random.below(2) === 0;
  if (!isMidway) await moog.break(fault);
  const engines = Array.from(
    { length: instances },
    () => createRoundEngine(redis, { lease, settings: settingsOf({ moog, random }) }),
  );
  try {
    for (const engine of engines) await engine.start();
    if (isMidway) {
      await pause(random.below(200));
      await moog.break(fault);
    }
    const wrong = await holds({ redis, moog, engines, fault, random });
    await moog.heal();
    const client = redis.client();
    await waitUntil(async () => await client.llen(DLQ) === 0, { what: about, timeoutMs: DRAINED_MS }).catch(() => {});
    await waitUntil(async () => await books.miscounted(engines) === 0, { what: about }).catch(() => {});
    await Promise.all(engines.map((engine) => engine[Symbol.asyncDispose]()));
    wrong.push(...await leftBehind(moog), ...moog.readTooMuch());
    const findings = await books.check(redis, { engines, inOrder: instances === 1, about });
    return addFindings(findings, brokenPromises(wrong.map((what) => `${about}: ${what}`)));
  } catch (error) {
    await Promise.allSettled(engines.map((engine) => engine[Symbol.asyncDispose]()));
    throw new Error(about, { cause: error });
  }
}

function settingsOf({ moog, random }: { moog: Moogsoft; random: SeededRandom }): Partial<Settings> {
  return {
    // A cycle of 100 takes long enough for a fault in its midst.
    ...{ maxPerSecond: 400, chunkMessages: 3 + random.below(20) },
    ...{ moogHealthCheckEnabled: true, moogWebhookUrl: moog.url, moogApiKey: new Secret(API_KEY) },
    ...{ moogHealthCacheMs: CACHE_MS, moogHealthTimeoutMs: TIMEOUT_MS },
  };
}

interface Scene {
  readonly redis: TestRedis;
  readonly moog: Moogsoft;
  readonly engines: readonly Engine[];
  readonly fault: MoogFault;
  readonly random: SeededRandom;
}

/** Lets the fault last for a while. @returns what is wrong meanwhile, in words. */
function holds(scene: Scene): Promise<string[]> {
  if (scene.fault.kind === "down") return holdsShut(scene);
  return scene.fault.kind === "flaps" ? flaps(scene) : staysOpen(scene);
}

/** Once every instance knows, nothing is replayed any more, and no gate opens. */
async function holdsShut({ redis, engines, random }: Scene): Promise<string[]> {
  const wrong: string[] = [], client = redis.client();
  const isShut = () => engines.every(isGateShut);
  try {
    await waitUntil(() => engines.every(knowsDown), { what: "every instance knows", timeoutMs: KNOWN_MS });
  } catch {
    return ["it is not known to be down"];
  }
  const before = await client.llen(TARGET), untilMs = performance.now() + 100 + random.below(500);
  while (performance.now() < untilMs) {
    await pause(10);
    if (!isShut()) wrong.push("a gate opened");
    if (wrong.length > 0) break;
  }
  const replayed = await client.llen(TARGET) - before;
  if (replayed > 0) wrong.push(`${replayed} were replayed into a system that is down`);
  return wrong;
}

function isGateShut(engine: Engine): boolean {
  return engine.source.board.last().closed.some(({ name }) => name === "downstream");
}

/** Shut because it is down, and not because nothing is known yet. */
function knowsDown(engine: Engine): boolean {
  return engine.source.board.last().closed.some(({ name, reason }) => name === "downstream" && reason !== "unknown");
}

async function flaps({ redis, moog, fault, random }: Scene): Promise<string[]> {
  const client = redis.client(), untilMs = performance.now() + 3_000;
  while (performance.now() < untilMs && await client.llen(DLQ) > 0) {
    await moog.heal();
    await pause(50 + random.below(100));
    await moog.break(fault);
    await pause(50 + random.below(100));
  }
  return [];
}

/** A healthy answer in a large body is one; the body is not read. */
async function staysOpen({ redis }: Scene): Promise<string[]> {
  const client = redis.client();
  await waitUntil(async () => await client.llen(DLQ) === 0, { what: "drained", timeoutMs: DRAINED_MS }).catch(() => {});
  const left = await client.llen(DLQ);
  return left > 0 ? [`${left} wait though Moogsoft is healthy`] : [];
}

async function leftBehind(moog: Moogsoft): Promise<string[]> {
  await waitUntil(() => moog.connections === 0, { what: "no connection is left", timeoutMs: 2_000 }).catch(() => {});
  return [
    ...(moog.connections > 0 ? [`${moog.connections} connections are left`] : []),
    ...(moog.astray > 0 ? [`${moog.astray} probes went to another host`] : []),
  ];
}
