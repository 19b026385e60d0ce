/**
 * `kill -9` of the service at random moments. The journal has every message that was moved: its entry and the move are one step. Of what a
 * process has moved, the log may lack what it was about to write when it died, so logs are short, and never over.
 */
import type { Service } from "../../../testkit/service.ts";
import { waitUntil } from "../../../testkit/wait.ts";
import { checkInGroups } from "../harness/checks.ts";
import { countCommits, countLogged, countScraped, startInstance } from "../harness/instances.ts";
import type { Findings } from "../harness/oracle.ts";
import { pause } from "../harness/pause.ts";
import type { Scenario, ScenarioContext, ScenarioResult } from "../harness/scenario.ts";
import { SOURCE_NAMES, World } from "../harness/world.ts";

/** Kills between two checks of the whole account. */
const KILLS_A_CHECK = 25;
const MOST_INSTANCES = 3;
/** A leader's lease outlives it; in one of so many kills that is waited for. */
const ONE_FULL_LEASE_IN = 8;
/** A process that has not moved anything after so long has nothing to move; it is killed all the same. */
const PROGRESS_TIMEOUT_MS = 3_000;

/** See the top of this file. */
export const SERVICE_KILL: Scenario = {
  name: "service-kill",
  about: "kill -9 of one to three instances at random moments while they drain under producers",
  rounds: { short: 3, full: 1_000 },
  canBeTurned: true,
  run: runKills,
};

/** What was seen so far. */
interface Tally {
  midCycle: number;
  uncounted: number;
}

async function runKills(context: ScenarioContext): Promise<ScenarioResult> {
  await using world = await World.open(context.random, { push: context.push, source: SOURCE_NAMES[context.push] });
  const tally = { midCycle: 0, uncounted: 0 };
  const played = await checkInGroups(world, context, {
    most: KILLS_A_CHECK,
    play: (rounds) => killSeveral(world, { ...context, rounds }, tally),
  });
  return {
    ...played,
    figures: {
      "kills in mid-cycle": tally.midCycle,
      "moved but not logged": tally.uncounted,
    },
  };
}

/** Kills so many, lets the last ones drain what is there, and checks everything. */
async function killSeveral(world: World, { rounds, lease, signal }: ScenarioContext, tally: Tally): Promise<Findings> {
  const { random } = world;
  await using all = new AsyncDisposableStack();
  const started: Service[] = [];
  const start = () => {
    const name = `instance-${started.length}`;
    const service = all.use(startInstance(world.redis, lease, { POD_NAME: name }));
    started.push(service);
    return { name, service };
  };
  const running = Array.from({ length: 1 + random.below(MOST_INSTANCES) }, start);
  await world.produce(100);
  if (lease === "wrong") world.startUsurper();
  world.startProducer({ most: 10, pauseMs: 20 });
  let kills = 0;
  for (; kills < rounds && !signal.aborted; kills++) {
    await world.produce(60);
    await world.age();
    const victim = await untilRandomMoment(world, running.map(({ service }) => service));
    if (await isInMidCycle(world)) tally.midCycle++;
    const { name, service } = running[victim]!;
    service.signal("SIGKILL");
    running[victim] = start();
    if (random.below(ONE_FULL_LEASE_IN) > 0) await world.expireLease(name);
  }
  await world.drain();
  const { logged, apart } = await countMoved({ started, running: running.map(({ service }) => service) });
  const moved = await world.countMoved(), uncounted = moved - logged;
  tally.uncounted += uncounted;
  const unjournalled = Math.abs(moved - await world.countJournalled());
  return await world.check({ miscounted: Math.max(0, -uncounted) + unjournalled + apart });
}

/**
 * Most kills hit the next process that moves messages, some of them any process at any moment of its life, its start included.
 *
 * @returns the victim's number.
 */
async function untilRandomMoment(world: World, running: readonly Service[]): Promise<number> {
  const { random } = world, anyone = random.below(running.length);
  if (random.below(8) === 0) {
    await pause(random.below(300));
    return anyone;
  }
  const before = running.map(countCommits);
  const mover = () => running.findIndex((service, i) => countCommits(service) > before[i]!);
  await waitUntil(() => mover() >= 0, { what: "", timeoutMs: PROGRESS_TIMEOUT_MS }).catch(() => {});
  const victim = mover();
  await pause(random.below(20));
  return victim < 0 ? anyone : victim;
}

async function isInMidCycle(world: World): Promise<boolean> {
  return await world.depth() > 0 && await world.remaining() > 0;
}

/** What all logs say, and by how much the metrics of those that live say something else. */
async function countMoved(
  { started, running }: { started: readonly Service[]; running: readonly Service[] },
): Promise<{ logged: number; apart: number }> {
  const measure = async () => {
    const apart = await Promise.all(
      running.map(async (service) => Math.abs(await countScraped(service) - countLogged(service))),
    );
    return apart.reduce((sum, one) => sum + one, 0);
  };
  // The last lines of a log may still be on their way here.
  await waitUntil(async () => await measure() === 0, { what: "" }).catch(() => {});
  const apart = await measure();
  for (const service of started) service.signal("SIGKILL");
  await Promise.all(started.map(({ exit }) => exit));
  return { logged: started.reduce((sum, service) => sum + countLogged(service), 0), apart };
}
