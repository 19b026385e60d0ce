/**
 * The service for a long time, with as many sources as it takes, a cycle of each every second. Memory, handles, connections
 * and Redis keys must not grow: each is measured once a round, and the line of least squares through the least values of the
 * later half of the rounds gives its growth. Counters are exact: bound 0.
 */
import { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import type { SeededRandom } from "../../../testkit/mutt/random.ts";
import { MAX_SOURCES } from "../../../src/config/sources_file.ts";
import { stateKey } from "../../../src/redis/keys.ts";
import { eventText } from "../../../testkit/engine.ts";
import { startRedis, type TestRedis } from "../../../testkit/redis.ts";
import type { Service } from "../../../testkit/service.ts";
import { waitUntil } from "../../../testkit/wait.ts";
import { countScraped, startInstance } from "../harness/instances.ts";
import { addFindings, brokenPromises, type Findings, NOTHING, Oracle } from "../harness/oracle.ts";
import { pause } from "../harness/pause.ts";
import type { Scenario, ScenarioContext, ScenarioResult } from "../harness/scenario.ts";

const ROUND_MS = 1_000;
const MESSAGES_A_ROUND = 200;
/** Fewer rounds than this say nothing of a slope: a heap finds its size first. */
const FEWEST_FOR_SLOPE = 240;
const TELL_EVERY = 30;
/** A heap that grows and is swept does so within a minute. */
const SAMPLES_A_FLOOR = 60;

/**
 * What is measured, and by which share of its mean it may grow in the later half of the rounds: memory is never quite flat, the
 * rest is. Of 600 rounds that is some 300 bytes a cycle; a longer run sees less.
 */
const MEASURES = {
  "RSS (KiB)": { of: ({ service }: Site) => residentKib(service), mostGrowth: 0.05 },
  handles: { of: ({ service }: Site) => Promise.resolve(countHandles(service)), mostGrowth: 0.02 },
  connections: { of: async ({ redis }: Site) => (await redis.clientConnections()).length, mostGrowth: 0.02 },
  "Redis keys": { of: async ({ admin }: Site) => (await admin.keys("mutt:*")).length, mostGrowth: 0.02 },
} as const;
type Measure = keyof typeof MEASURES;
const NAMES = Object.keys(MEASURES) as Measure[];
type Sample = Readonly<Record<Measure, number>>;

/** Lists of each source. */
const SOURCES = Array.from(
  { length: MAX_SOURCES },
  (_, i) => ({ dlq: `soak:dlq:${i}`, target: `soak:work:${i}`, dead: `soak:dead:${i}` }),
);

/** See the top of this file. */
export const SOAK: Scenario = {
  name: "soak",
  about: `one instance with ${MAX_SOURCES} sources and a cycle of each every second; a round is a second`,
  rounds: { short: 2, full: 600 },
  leases: ["on", "off"],
  run: runSoak,
};

interface Site {
  readonly redis: TestRedis;
  readonly admin: Redis;
  readonly service: Service;
}

async function runSoak({ random, rounds, lease, tell, signal }: ScenarioContext): Promise<ScenarioResult> {
  await using cleanup = new AsyncDisposableStack();
  const redis = cleanup.adopt(await startRedis(), (started) => started.stop());
  const env = {
    REMEDIATION_SOURCES: "none",
    REMEDIATION_SOURCES_PATH: await writeSources(redis),
  };
  const service = cleanup.use(startInstance(redis, lease, env));
  await service.ports();
  const site: Site = { redis, admin: redis.client(), service };
  const traffic = new Traffic(site, random);
  const samples: Sample[] = [];
  for (let round = 1; round <= rounds && !signal.aborted; round++) {
    await traffic.push();
    await pause(ROUND_MS);
    await traffic.consume();
    const sample = await measure(site);
    samples.push(sample);
    if (round % TELL_EVERY === 0) tell(`${round} rounds: ${describe(sample)}`);
  }
  const findings = await traffic.check();
  const growth = samples.length < FEWEST_FOR_SLOPE ? null : growthOf(samples);
  return {
    rounds: samples.length,
    findings: growth ? addFindings(findings, judge(growth)) : findings,
    figures: {
      cycles: await countCycles(site),
      "at the end": describe(samples.at(-1)!),
      "growth in the later half": growth ? describe(growth, percent) : "too short to say",
    },
  };
}

async function writeSources({ dir }: TestRedis): Promise<string> {
  const path = `${dir}/sources.json`;
  const sources = Object.fromEntries(SOURCES.map((lists, i) => [`soak-${i}`, lists]));
  await Deno.writeTextFile(path, JSON.stringify({ sources }));
  return path;
}

/** Who fills the DLQs, empties targets and dead lists, and remembers all of it. */
class Traffic {
  readonly #site: Site;
  readonly #random: SeededRandom;
  readonly #oracle = new Oracle();
  readonly #target: Buffer[] = [];
  readonly #dead: Buffer[] = [];
  #pushed = 0;

  constructor(site: Site, random: SeededRandom) {
    this.#site = site;
    this.#random = random;
  }

  /** New messages for random sources, a tenth of them for the dead list. */
  async push(): Promise<void> {
    const messages = Array.from({ length: MESSAGES_A_ROUND }, () => {
      const id = this.#pushed++;
      return Buffer.from(this.#random.below(10) === 0 ? `not JSON ${id}` : eventText(id));
    });
    await Promise.all(messages.map((message) => this.#site.admin.lpush(this.#random.pick(SOURCES).dlq, message)));
    this.#oracle.add(messages);
  }

  /** Takes what has been replayed or buried. */
  async consume(): Promise<void> {
    const { redis } = this.#site;
    const most = MESSAGES_A_ROUND * 100;
    for (const { target, dead } of SOURCES) {
      const [replayed, buried] = await Promise.all([redis.popList(target, most), redis.popList(dead, most)]);
      this.#target.push(...replayed);
      this.#dead.push(...buried);
    }
  }

  async check(): Promise<Findings> {
    const moved = () => this.#target.length + this.#dead.length;
    await waitUntil(async () => {
      await this.consume();
      return moved() >= this.#pushed;
    }, { what: "", timeoutMs: 20_000 }).catch(() => {});
    const miscounted = Math.abs(await countScraped(this.#site.service) - moved());
    const left = await Promise.all(SOURCES.map(({ dlq }) => this.#site.redis.readList(dlq)));
    return this.#oracle.check({ dlq: left.flat(), target: this.#target, dead: this.#dead }, { miscounted });
  }
}

async function measure(site: Site): Promise<Sample> {
  const values = await Promise.all(NAMES.map(async (name) => [name, await MEASURES[name].of(site)] as const));
  return Object.fromEntries(values) as Sample;
}

async function residentKib({ pid }: Service): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
}

function countHandles({ pid }: Service): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

async function countCycles({ admin }: Site): Promise<number> {
  const cycles = await Promise.all(SOURCES.map(({ dlq }) => admin.hget(stateKey(dlq), "cycle")));
  return cycles.reduce((sum, cycle) => sum + Number(cycle), 0);
}

/** Share of its mean by which each measure grew in the later half of the samples. */
function growthOf(samples: readonly Sample[]): Sample {
  const later = samples.slice(Math.floor(samples.length / 2));
  const growth = NAMES.map((name) => {
    const values = floorsOf(later.map((sample) => sample[name]));
    return [name, slopeOf(values) * values.length * values.length / values.reduce((a, b) => a + b, 0)];
  });
  return Object.fromEntries(growth) as Sample;
}

/** The least of each few values: what a heap keeps when it has been swept, without the saw teeth in between. */
function floorsOf(values: readonly number[]): number[] {
  const count = Math.floor(values.length / SAMPLES_A_FLOOR);
  return Array.from(
    { length: count },
    (_, i) => Math.min(...values.slice(i * SAMPLES_A_FLOOR).slice(0, SAMPLES_A_FLOOR)),
  );
}

/** Of the line of least squares through values at 0, 1, 2, … */
function slopeOf(values: readonly number[]): number {
  const n = values.length, middle = (n - 1) / 2, mean = values.reduce((a, b) => a + b, 0) / n;
  const covariance = values.reduce((sum, value, i) => sum + (i - middle) * (value - mean), 0);
  return covariance / values.reduce((sum, _, i) => sum + (i - middle) ** 2, 0);
}

function judge(growth: Sample): Findings {
  return NAMES.filter((name) => growth[name] > MEASURES[name].mostGrowth)
    .map((name) => brokenPromises([`${name} grew by ${percent(growth[name])} in the later half`]))
    .reduce(addFindings, NOTHING);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function describe(sample: Sample, format: (value: number) => string = String): string {
  return NAMES.map((name) => `${name} ${format(sample[name])}`).join(" / ");
}
