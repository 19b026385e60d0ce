/** The network between service and Redis breaks, at each step of a cycle. */
import { SeededRandom } from "../../../testkit/mutt/random.ts";
import { DLQ, type Engine } from "../../../testkit/engine.ts";
import { startHttpStub } from "../../../testkit/http_stub.ts";
import { startRedis, type TestRedis } from "../../../testkit/redis.ts";
import { startTcpProxy, type TcpProxy } from "../../../testkit/tcp_proxy.ts";
import { waitUntil } from "../../../testkit/wait.ts";
import { addFindings, type Findings, NOTHING } from "../harness/oracle.ts";
import type { LeaseMode, Scenario, ScenarioContext } from "../harness/scenario.ts";
import { Books, distinctMessages, equalMessages } from "./network_books.ts";
import { createRoundEngine } from "./network_engine.ts";
import { COMMIT, type Fault, FAULTS, type Step, STEPS, TIMEOUT_MS } from "./network_faults.ts";

/** Rounds at a time, each with a Redis of its own: most of a round is waiting. */
const LANES = 4;
/** A round that has not come to its end by then has findings. */
const ROUND_MS = 20_000;

interface Cell {
  readonly fault: Fault;
  readonly step: Step;
}

/** What one round does. */
interface Round extends Cell {
  /** A second fault in the same round. */
  readonly also: Cell | null;
  readonly seed: number;
  readonly isEqual: boolean;
  readonly instances: 1 | 3;
  readonly lease: LeaseMode;
}

interface RoundResult {
  readonly findings: Findings;
  /** What a reader should know: faults that hit and that found nothing to hit, commits whose fate was looked into. */
  readonly happened: readonly string[];
}

const CELLS: readonly Cell[] = FAULTS.flatMap((fault) => STEPS.map((step) => ({ fault, step })));
/** Every gate asks Redis what it can ask; none holds anything. */
const SETTINGS = {
  consumerGate: "auto",
  targetMaxDepth: 1_000_000,
  maxPerSecond: "auto",
  moogRateLimit: 1_000_000,
  moogHealthCheckEnabled: true,
  moogHealthCacheMs: 20,
} as const;

/** Every fault that hits is over by then. */
const OVER_MS = 5_000;

const VARIANTS = [[true, 1], [false, 3], [false, 1], [true, 3]] as const;

/** Fault × step × kind of messages × number of instances, one round each, with details by chance. */
export const NETWORK: Scenario = {
  name: "network",
  about: "delays, cuts, stalls and drips connections to Redis at each step of a cycle",
  rounds: { short: CELLS.length / 3, full: 10 * CELLS.length },
  run: runNetwork,
};

async function runNetwork(context: ScenarioContext) {
  const { tell } = context;
  const rounds = planRounds(context);
  const figures: Record<string, number> = {};
  let findings = NOTHING, played = 0;
  const lane = async () => {
    const redis = await startRedis(), moog = await startHttpStub();
    try {
      for (let round; !context.signal.aborted && (round = rounds.shift());) {
        const result = await playRound(round, { redis, moogWebhookUrl: moog.url });
        findings = addFindings(findings, result.findings);
        for (const what of result.happened) figures[what] = (figures[what] ?? 0) + 1;
        if (++played % 200 === 0) tell(`${played} of ${context.rounds} rounds`);
      }
    } finally {
      await redis.stop();
      await moog.stop();
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return { rounds: played, findings, figures };
}

/**
 * Every cell once before any comes again, then each time in another variant and now and then with a second fault; a commit
 * first where it can match twice.
 */
function planRounds({ random, rounds, lease }: ScenarioContext): Round[] {
  const cells = random.shuffle(CELLS.filter(({ step }) => !step.ofLease || lease !== "off"));
  const offset = random.below(VARIANTS.length);
  return Array.from({ length: rounds }, (_, i) => {
    const cell = cells[i % cells.length]!, first = cell.step === COMMIT ? 0 : i % cells.length + offset;
    const [isEqual, instances] = VARIANTS[(Math.floor(i / cells.length) + first) % VARIANTS.length]!;
    const also = i >= cells.length && random.below(3) === 0 ? random.pick(cells) : null;
    return { ...cell, also, isEqual, instances, lease, seed: random.below(2 ** 32) };
  });
}

async function playRound(
  round: Round,
  { redis, moogWebhookUrl }: { redis: TestRedis; moogWebhookUrl: string },
): Promise<RoundResult> {
  const { also, isEqual, instances, lease, seed } = round;
  const cells = also ? [round, also] : [round];
  const faults = cells.map(({ fault, step }) => `${fault.name} at ${step.name}`).join(" and ");
  const about = `${faults}, ${isEqual ? "equal" : "distinct"}, ${instances} instances, seed ${seed}`;
  const random = new SeededRandom(seed);
  const client = redis.client();
  await client.flushall();
  await client.set("mutt:heartbeat:alerter:one", "1");
  const count = 30 + random.below(50);
  const messages = (isEqual ? equalMessages : distinctMessages)(count, random);
  await redis.seedList(DLQ, messages);
  const books = new Books(messages);
  const proxy = startTcpProxy(redis);
  const settings = { ...SETTINGS, moogWebhookUrl, chunkMessages: 3 + random.below(6) };
  const isShared = random.below(2) === 0;
  const engines = Array.from(
    { length: instances },
    (_, i) => createRoundEngine(i === 0 || isShared ? proxy : redis, { lease, settings, commandTimeoutMs: TIMEOUT_MS }),
  );
  try {
    await Promise.all(engines.map(({ connections }) => connections.waitUntilReady(5_000)));
    const wounds = cells.map((cell) => inflict(proxy, cell, random));
    for (const engine of engines) await engine.start();
    await waitUntil(async () => await client.llen(DLQ) === 0, { what: about, timeoutMs: ROUND_MS }).catch(() => {});
    proxy.heal();
    const happened = await Promise.all(wounds.map((wound) => wound()));
    await waitUntil(async () => await books.miscounted(engines) === 0, { what: about }).catch(() => {});
    await Promise.all(engines.map((engine) => engine[Symbol.asyncDispose]()));
    const findings = await books.check(redis, { engines, inOrder: instances === 1, about });
    return { findings, happened: [...happened, ...settlements(engines)] };
  } catch (error) {
    await Promise.allSettled(engines.map((engine) => engine[Symbol.asyncDispose]()));
    throw new Error(about, { cause: error });
  } finally {
    await proxy.stop();
    client.disconnect();
  }
}

/** Arms the fault. @returns what tells whether it has hit, once it is over. */
function inflict(proxy: TcpProxy, { fault, step }: Cell, random: SeededRandom): () => Promise<string> {
  let hit = false, isOver = false;
  const request = { texts: step.texts, occurrence: 1 + random.below(step.times) };
  if (step.afterCut) {
    const occurrence = 1 + random.below(COMMIT.times);
    proxy.cut(random.pick(["before_reply", "before_request"]), { texts: COMMIT.texts, occurrence });
  }
  fault.inflict({ proxy, request, random }).then(() => isOver = true);
  proxy.at(request, () => hit = true);
  return async () => {
    if (!hit) return "faults with nothing to hit";
    // A cut waits for ever for the reply on a connection that another fault has ended meanwhile.
    await waitUntil(() => isOver, { what: "", timeoutMs: OVER_MS }).catch(() => {});
    return isOver ? "faults that hit" : "faults overtaken by another";
  };
}

function settlements(engines: readonly Engine[]): string[] {
  const lines = engines.flatMap(({ lines }) => lines).filter(({ event }) => event === "commit_settled");
  return lines.map(({ fields }) => fields.ran ? "lost replies: had run" : "lost replies: had not run");
}
