/**
 * What else Redis does to its clients, one thing a round. Counters are exact, but for FLUSHALL: it also wipes out the receipt
 * by which an instance finds out what became of a commit whose reply was lost, so each may hide one commit of each instance.
 */
import { serverHas } from "../../../testkit/redis_version.ts";
import { checkInGroups } from "../harness/checks.ts";
import { Engines } from "../harness/engines.ts";
import { CHUNK_MESSAGES } from "../harness/instances.ts";
import type { Findings } from "../harness/oracle.ts";
import { pause } from "../harness/pause.ts";
import type { Scenario, ScenarioContext, ScenarioResult } from "../harness/scenario.ts";
import { World } from "../harness/world.ts";

const FAULTS_A_CHECK = 10;
const ENGINES = 2;
/** How long the engines wait for a reply: short, so that a stopped Redis need not be stopped for long. */
const COMMAND_TIMEOUT_MS = 150;
/** A commit older than this must not run any more; one stop in so many is longer. */
const COMMIT_DEADLINE_MS = 5_000, ONE_LONG_STOP_IN = 30;

/** Does it to Redis, and undoes it before it resolves. */
type Fault = (world: World) => Promise<void>;

const FAULTS: Readonly<Record<string, Fault>> = {
  "SCRIPT FLUSH": ({ admin }) => admin.script("FLUSH").then(() => {}),
  "CLIENT KILL": async ({ admin, redis, random }) => {
    const connections = await redis.clientConnections();
    if (connections.length > 0) await admin.client("KILL", "ID", random.pick(connections).id);
  },
  "CLIENT PAUSE": ({ admin, random }) =>
    // Redis 6.0 can only pause all commands.
    admin.call(
      ...["CLIENT", "PAUSE", random.below(3 * COMMAND_TIMEOUT_MS)] as const,
      ...serverHas("6.2") ? [random.pick(["WRITE", "ALL"])] : [],
    ).then(() => {}),
  SIGSTOP: async ({ redis, random }) => {
    await redis.kill("SIGSTOP");
    await pause(
      random.below(ONE_LONG_STOP_IN) === 0 ? COMMIT_DEADLINE_MS + 500 : COMMAND_TIMEOUT_MS + random.below(300),
    );
    await redis.kill("SIGCONT");
  },
  maxmemory: async ({ admin, random }) => {
    await admin.config("SET", "maxmemory", "1");
    await pause(random.below(100));
    await admin.config("SET", "maxmemory", "0");
  },
  READONLY: async ({ admin, random }) => {
    await admin.replicaof("127.0.0.1", 1);
    await pause(random.below(100));
    await admin.replicaof("NO", "ONE");
  },
  FLUSHALL: (world) => world.flushAll(),
};

/** What is over in an instant; the rest goes on while a commit is under way. */
const BRIEF: ReadonlySet<string> = new Set(["SCRIPT FLUSH", "CLIENT KILL", "CLIENT PAUSE", "FLUSHALL"]);

/** See the top of this file. */
export const REDIS_FAULTS: Scenario = {
  name: "redis-faults",
  about: `${Object.keys(FAULTS).join(", ")}: one of them a round, in mid-commit, under producers`,
  rounds: { short: 7, full: 700 },
  run: runFaults,
};

interface Tally {
  readonly inflicted: Record<string, number>;
  settled: number;
}

async function runFaults(context: ScenarioContext): Promise<ScenarioResult> {
  await using world = await World.open(context.random);
  const tally: Tally = { inflicted: Object.fromEntries(Object.keys(FAULTS).map((name) => [name, 0])), settled: 0 };
  const played = await checkInGroups(world, context, {
    most: FAULTS_A_CHECK,
    play: (rounds) => inflictSeveral(world, { ...context, rounds }, tally),
  });
  return { ...played, figures: { ...tally.inflicted, "lost replies looked into": tally.settled } };
}

async function inflictSeveral(
  world: World,
  { rounds, lease, signal }: ScenarioContext,
  tally: Tally,
): Promise<Findings> {
  const { random } = world;
  const options = () => ({ commandTimeoutMs: COMMAND_TIMEOUT_MS });
  await using engines = await Engines.start(world, { count: ENGINES, lease, options });
  if (lease === "wrong") world.startUsurper();
  world.startProducer({ most: 5, pauseMs: 10 });
  let flushes = 0;
  for (let round = 0; round < rounds && !signal.aborted; round++) {
    const name = random.pick(Object.keys(FAULTS));
    await world.produce(60);
    const fault = () => FAULTS[name]!(world);
    if (random.below(2) === 0) await engines.beforeNextCommit(fault, { brief: BRIEF.has(name) });
    else await fault();
    tally.inflicted[name]!++;
    if (name === "FLUSHALL") flushes++;
  }
  await world.drain();
  const miscounted = await engines.miscounted({ hidden: flushes * ENGINES * CHUNK_MESSAGES });
  tally.settled += engines.countSettled();
  return await world.check({ miscounted });
}
