/**
 * `kill -9` of a Redis that writes everything to disk before it answers. A commit whose reply is lost is looked into, so the
 * counters of all instances together are exact: bound 0.
 */
import { checkInGroups } from "../harness/checks.ts";
import { Engines } from "../harness/engines.ts";
import type { Findings } from "../harness/oracle.ts";
import { pause } from "../harness/pause.ts";
import type { Scenario, ScenarioContext, ScenarioResult } from "../harness/scenario.ts";
import { World } from "../harness/world.ts";

const KILLS_A_CHECK = 10;
const MOST_ENGINES = 3;

/** See the top of this file. */
export const REDIS_KILL: Scenario = {
  name: "redis-kill",
  about: "kill -9 and restart of Redis (appendonly yes, appendfsync always) in mid-commit, under producers",
  rounds: { short: 4, full: 300 },
  run: runKills,
};

async function runKills(context: ScenarioContext): Promise<ScenarioResult> {
  await using world = await World.open(context.random, { config: ["appendonly yes", "appendfsync always"] });
  const tally = { settled: 0 };
  const played = await checkInGroups(world, context, {
    most: KILLS_A_CHECK,
    play: (rounds) => killSeveral(world, { ...context, rounds }, tally),
  });
  return { ...played, figures: { "lost replies looked into": tally.settled } };
}

async function killSeveral(
  world: World,
  { rounds, lease, signal }: ScenarioContext,
  tally: { settled: number },
): Promise<Findings> {
  const { random, redis } = world;
  await using engines = await Engines.start(world, { count: 1 + random.below(MOST_ENGINES), lease });
  if (lease === "wrong") world.startUsurper();
  world.startProducer({ most: 5, pauseMs: 10 });
  world.startProducer({ most: 5, pauseMs: 10 });
  for (let round = 0; round < rounds && !signal.aborted; round++) {
    await world.produce(60);
    const kill = async () => {
      await pause(random.below(4));
      await redis.kill("SIGKILL");
    };
    await engines.beforeNextCommit(kill, { brief: false });
    await pause(random.below(50));
    await redis.restart();
  }
  await world.drain();
  const findings = await world.check({ miscounted: await engines.miscounted() });
  tally.settled += engines.countSettled();
  return findings;
}
