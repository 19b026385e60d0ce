/**
 * Signals that a service outlives or ends cleanly by, among instances whose clocks are minutes apart. SIGTERM finishes the
 * chunk in hand, and a stopped process finds out what became of its commit, so the counters are exact: bound 0.
 */
import type { Service } from "../../../testkit/service.ts";
import { waitUntil } from "../../../testkit/wait.ts";
import { checkInGroups } from "../harness/checks.ts";
import { Engines } from "../harness/engines.ts";
import { countCommits, countLogged, startInstance } from "../harness/instances.ts";
import { addFindings, brokenPromises, type Findings, NOTHING } from "../harness/oracle.ts";
import { pause } from "../harness/pause.ts";
import type { Scenario, ScenarioContext, ScenarioResult } from "../harness/scenario.ts";
import { World } from "../harness/world.ts";

const SIGNALS_A_CHECK = 20;
const PROCESSES = 2, ENGINES = 2;
const MOST_MINUTES_APART = 10;
/** Engines rest for longer than elsewhere, so that they leave something to the processes. */
const ENGINE_PAUSE_MS = 300;
const ONE_RESTART_IN = 4;
/** A process that stands by has asked for the lease again after so long. */
const STANDBY_ASKS_MS = 500;
/** Longer than a command may take; one stop in so many is. */
const LONG_STOP_MS = 5_500, ONE_LONG_STOP_IN = 40;
/** Twice as long as the service gives itself. */
const EXIT_TIMEOUT_MS = 40_000;

/** See the top of this file. */
export const SERVICE_SIGNALS: Scenario = {
  name: "service-signals",
  about: "SIGTERM, and SIGSTOP with SIGCONT, among instances whose clocks are minutes apart",
  rounds: { short: 3, full: 300 },
  run: runSignals,
};

interface Tally {
  ended: number;
  stopped: number;
  longestExitMs: number;
}

async function runSignals(context: ScenarioContext): Promise<ScenarioResult> {
  await using world = await World.open(context.random);
  const tally: Tally = { ended: 0, stopped: 0, longestExitMs: 0 };
  const played = await checkInGroups(world, context, {
    most: SIGNALS_A_CHECK,
    play: (rounds) => signalSeveral(world, { ...context, rounds }, tally),
  });
  return {
    ...played,
    figures: { SIGTERM: tally.ended, SIGSTOP: tally.stopped, "longest exit (ms)": Math.round(tally.longestExitMs) },
  };
}

async function signalSeveral(
  world: World,
  { rounds, lease, signal }: ScenarioContext,
  tally: Tally,
): Promise<Findings> {
  const { random } = world;
  const clockShiftMs = () => (random.below(2 * MOST_MINUTES_APART + 1) - MOST_MINUTES_APART) * 60_000;
  await using all = new AsyncDisposableStack();
  const engines = all.use(
    await Engines.start(world, {
      count: ENGINES,
      lease,
      options: () => ({ clockShiftMs: clockShiftMs(), longestPauseMs: ENGINE_PAUSE_MS }),
    }),
  );
  const started: Service[] = [];
  const start = () => {
    const service = all.use(startInstance(world.redis, lease));
    started.push(service);
    return service;
  };
  const running = Array.from({ length: PROCESSES }, start);
  if (lease === "wrong") world.startUsurper();
  world.startProducer({ most: 10, pauseMs: 20 });
  let findings = NOTHING;
  for (let round = 0; round < rounds && !signal.aborted; round++) {
    const at = random.below(running.length), service = running[at]!;
    if (random.below(ONE_RESTART_IN) === 0) await engines.restart({ afterMs: lease === "on" ? STANDBY_ASKS_MS : 0 });
    await untilRandomMoment(world, service);
    if (random.below(3) > 0) {
      await stopAndContinue(world, service);
      tally.stopped++;
      continue;
    }
    const ended = await endCleanly(service);
    findings = addFindings(findings, ended.findings);
    tally.longestExitMs = Math.max(tally.longestExitMs, ended.tookMs);
    tally.ended++;
    running[at] = start();
  }
  await world.drain();
  for (const service of running) findings = addFindings(findings, (await endCleanly(service)).findings);
  const byProcesses = started.reduce((sum, service) => sum + countLogged(service), 0);
  const miscounted = await engines.miscounted({ byOthers: byProcesses });
  return addFindings(findings, await world.check({ miscounted }));
}

/** In the middle of its work, or while it starts. */
async function untilRandomMoment(world: World, service: Service): Promise<void> {
  const { random } = world;
  const before = countCommits(service);
  const giveUpAtMs = performance.now() + 1_500;
  await waitUntil(async () => {
    if (await world.depth() < 20) await world.produce(30);
    await world.age();
    await pause(10);
    return countCommits(service) > before || performance.now() > giveUpAtMs;
  }, { what: "it moves something" });
  await pause(random.below(20));
}

async function stopAndContinue({ random }: World, service: Service): Promise<void> {
  service.signal("SIGSTOP");
  await pause(random.below(ONE_LONG_STOP_IN) === 0 ? LONG_STOP_MS : random.below(500));
  service.signal("SIGCONT");
}

/** A service that was only just started may not listen for signals yet: that ends it too, and by then it has moved nothing. */
async function endCleanly(service: Service): Promise<{ findings: Findings; tookMs: number }> {
  const hadMoved = countCommits(service) > 0, sinceMs = performance.now();
  service.signal("SIGTERM");
  const late = setTimeout(() => service.signal("SIGKILL"), EXIT_TIMEOUT_MS);
  const { code, signal } = await service.exit;
  clearTimeout(late);
  const isGood = code === 0 || (signal === "SIGTERM" && !hadMoved);
  const findings = isGood ? NOTHING : brokenPromises([`SIGTERM ended it with ${code} (${signal})`]);
  return { findings, tookMs: performance.now() - sinceMs };
}
