/**
 * `kill -9` of the service at random moments. A message that was moved by a commit whose process died before it could count
 * is in no counter: logs and metrics of all processes together are short by at most one chunk a kill, and never over.
 */
import type { Service } from "../../../testkit/service.ts";
import { waitUntil } from "../../../testkit/wait.ts";
import { checkInGroups } from "../harness/checks.ts";
import { CHUNK_MESSAGES, countCommits, countLogged, countScraped, startInstance } from "../harness/instances.ts";
import type { Findings } from "../harness/oracle.ts";
import { pause } from "../harness/pause.ts";
import type { Scenario, ScenarioContext, ScenarioResult } from "../harness/scenario.ts";
import { World } from "../harness/world.ts";

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
  run: runKills,
};

/** What was seen so far. */
interface Tally {
  kills: number;
  midCycle: number;
  uncounted: number;
}

async function runKills(context: ScenarioContext): Promise<ScenarioResult> {
  await using world = await World.open(context.random);
  const tally = { kills: 0, midCycle: 0, uncounted: 0 };
  const played = await checkInGroups(world, context, {
    most: KILLS_A_CHECK,
    play: (rounds) => killSeveral(world, { ...context, rounds }, tally),
  });
  return {
    ...played,
    figures: {
      "kills in mid-cycle": tally.midCycle,
      "moved but not counted": tally.uncounted,
      "bound of that": tally.kills * CHUNK_MESSAGES,
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
  const uncounted = await world.countMoved() - logged;
  tally.kills += kills;
  tally.uncounted += uncounted;
  return await world.check({ miscounted: Math.max(0, -uncounted, uncounted - kills * CHUNK_MESSAGES) + apart });
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
  let apart = 0;
  for (const service of running) apart += Math.abs(await countScraped(service) - countLogged(service));
  for (const service of started) service.signal("SIGKILL");
  await Promise.all(started.map(({ exit }) => exit));
  return { logged: started.reduce((sum, service) => sum + countLogged(service), 0), apart };
}
