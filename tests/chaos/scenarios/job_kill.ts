/**
 * `kill -9` of the service while operators work on messages beside automatic replay. Whoever leads next ends the job; no message is
 * lost, doubled or changed in a list, on the shelf, in the list of a job, in its trash, or while an import is staged.
 */
import type { Service } from "../../../testkit/service.ts";
import { checkInGroups } from "../harness/checks.ts";
import { startInstance } from "../harness/instances.ts";
import { API_ENVIRONMENT, DEEDS, Operators } from "../harness/operators.ts";
import { addFindings, brokenPromises, type Findings } from "../harness/oracle.ts";
import { pause } from "../harness/pause.ts";
import type { Scenario, ScenarioContext, ScenarioResult } from "../harness/scenario.ts";
import { SOURCE_NAMES, World } from "../harness/world.ts";

/** Kills between two checks of the whole account: fewer jobs than Redis keeps. */
const KILLS_A_CHECK = 20;
const INSTANCES = 2;
/** Messages that wait when a deed begins, and the longest time until the kill, in milliseconds. */
const BACKLOG = 300, MOST_MS = 120;
/** A commit of automatic replay takes more than in other scenarios: what is drained here is much. */
const CHUNK = { REMEDIATION_CHUNK_MESSAGES: "10" };

/** See the top of this file. */
export const JOB_KILL: Scenario = {
  name: "job-kill",
  about: "kill -9 of an instance at a random moment of what operators do to messages, jobs and source, under producers",
  rounds: { short: 4, full: 300 },
  leases: ["on", "off"],
  canBeTurned: true,
  run: runKills,
};

type Tally = Record<string, number>;

async function runKills(context: ScenarioContext): Promise<ScenarioResult> {
  // A revival makes a message new.
  await using world = await World.open(context.random, {
    ...{ cut: ["_moog_retry_count"], push: context.push, source: SOURCE_NAMES[context.push] },
  });
  const tally: Tally = {};
  const played = await checkInGroups(world, context, {
    most: KILLS_A_CHECK,
    play: (rounds) => killSeveral(world, { ...context, rounds }, tally),
  });
  return { ...played, figures: Object.fromEntries(Object.entries(tally).toSorted()) };
}

async function killSeveral(world: World, { rounds, lease, signal }: ScenarioContext, tally: Tally): Promise<Findings> {
  const { random } = world;
  await using all = new AsyncDisposableStack();
  let started = 0;
  const start = () => {
    const name = `instance-${started++}`;
    return {
      name,
      service: all.use(startInstance(world.redis, lease, { ...API_ENVIRONMENT, ...CHUNK, POD_NAME: name })),
    };
  };
  const running: { name: string; service: Service }[] = Array.from({ length: INSTANCES }, start);
  const operators = new Operators(world, () => running.map(({ service }) => service));
  world.startProducer({ most: 10, pauseMs: 100 });
  for (let kill = 0; kill < rounds && !signal.aborted; kill++) {
    await world.produce(Math.max(1, BACKLOG - await world.depth()));
    const acting = [operators.act(random.pick(DEEDS))];
    if (random.below(4) === 0) acting.push(operators.act(random.pick(DEEDS)));
    if (random.below(3) === 0) acting.push(operators.disturb());
    // The kill meets the request or the job that it has started.
    if (random.below(2) === 0) await Promise.all(acting);
    if (random.below(3) === 0) acting.push(operators.meddle());
    await pause(random.below(MOST_MS));
    const victim = random.below(INSTANCES), { name, service } = running[victim]!;
    service.signal("SIGKILL");
    running[victim] = start();
    await world.expireLease(name);
    await Promise.all(acting);
    await operators.whenOver();
  }
  await operators.resume();
  await world.drain();
  for (const { service } of running) service.signal("SIGKILL");
  await Promise.all(running.map(({ service }) => service.exit));
  const closed = await operators.close();
  for (const [outcome, count] of Object.entries(closed.tally)) tally[outcome] = (tally[outcome] ?? 0) + count;
  return addFindings(await world.check(), brokenPromises(closed.broken));
}
