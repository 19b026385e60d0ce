/**
 * `kill -9` of the service while jobs of operators run beside automatic replay. Whoever leads next ends the job; no message is lost or
 * doubled on its shelf, its own list or its trash.
 */
import { createSources } from "../../../src/mutt/built_in_sources.ts";
import { DEFAULT_SETTINGS } from "../../../src/config/fields.ts";
import type { JobVerb } from "../../../src/cycle/running_job.ts";
import { JobStore } from "../../../src/jobs/job_store.ts";
import { messageId } from "../../../src/message/message_id.ts";
import { MAX_SELECTED_IDS } from "../../../src/message/selection.ts";
import { createId } from "../../../src/runtime/random.ts";
import { DLQ } from "../../../testkit/engine.ts";
import type { Service } from "../../../testkit/service.ts";
import { waitUntil } from "../../../testkit/wait.ts";
import { checkInGroups } from "../harness/checks.ts";
import { startInstance } from "../harness/instances.ts";
import type { Findings } from "../harness/oracle.ts";
import { pause } from "../harness/pause.ts";
import type { Scenario, ScenarioContext, ScenarioResult } from "../harness/scenario.ts";
import { World } from "../harness/world.ts";

/** Kills between two checks of the whole account. */
const KILLS_A_CHECK = 25;
const INSTANCES = 2;
const VERBS: readonly JobVerb[] = ["redrive", "bury", "purge"];
/** Messages that wait when a job begins, and the longest time until the kill, in milliseconds. */
const BACKLOG = 600, MOST_MS = 60;
const JOB_TIMEOUT_MS = 60_000;

/** See the top of this file. */
export const JOB_KILL: Scenario = {
  name: "job-kill",
  about: "kill -9 of an instance at a random moment of a job, some jobs paused, resumed or cancelled, under producers",
  rounds: { short: 3, full: 300 },
  leases: ["on", "off"],
  run: runKills,
};

interface Tally {
  readonly jobs: Record<string, number>;
}

async function runKills(context: ScenarioContext): Promise<ScenarioResult> {
  await using world = await World.open(context.random);
  const tally: Tally = { jobs: {} };
  const played = await checkInGroups(world, context, {
    most: KILLS_A_CHECK,
    play: (rounds) => killSeveral(world, { ...context, rounds }, tally),
  });
  return { ...played, figures: tally.jobs };
}

async function killSeveral(world: World, { rounds, lease, signal }: ScenarioContext, tally: Tally): Promise<Findings> {
  const { random } = world;
  await using all = new AsyncDisposableStack();
  const purged: string[] = [];
  let started = 0;
  const start = () => {
    const name = `instance-${started++}`;
    return { name, service: all.use(startInstance(world.redis, lease, { POD_NAME: name })) };
  };
  const running: { name: string; service: Service }[] = Array.from({ length: INSTANCES }, start);
  const jobs = new JobStore(world.admin, createSources(DEFAULT_SETTINGS)[0]!.policy, { createId });
  world.startProducer({ most: 10, pauseMs: 20 });
  for (let kill = 0; kill < rounds && !signal.aborted; kill++) {
    await world.produce(BACKLOG);
    const id = await startUndo(world, { jobs, purged }) ?? await startJob(world, jobs);
    await pause(random.below(MOST_MS));
    if (id !== null && random.below(3) === 0) await meddle(world, { jobs, id });
    const victim = random.below(INSTANCES), { name, service } = running[victim]!;
    service.signal("SIGKILL");
    running[victim] = start();
    await world.expireLease(name);
    if (id === null) continue;
    const isOver = async () => !["running", "paused"].includes((await jobs.get(id))?.status ?? "");
    await waitUntil(isOver, { what: "the job ends", timeoutMs: JOB_TIMEOUT_MS });
    const job = await jobs.get(id), outcome = `${job?.verb} ${job?.status}`;
    tally.jobs[outcome] = (tally.jobs[outcome] ?? 0) + 1;
    if (outcome === "purge done") purged.push(id);
  }
  await world.drain();
  for (const { service } of running) service.signal("SIGKILL");
  await Promise.all(running.map(({ service }) => service.exit));
  return await world.check();
}

/** Plans and starts a job over some of what is there. @returns its id; `null` if there is nothing. */
async function startJob(world: World, jobs: JobStore): Promise<string | null> {
  const { random } = world, every = 1 + random.below(9), verb = random.pick(VERBS);
  const watermark = await jobs.readWatermark("dlq", { maxMessageBytes: DEFAULT_SETTINGS.maxMessageBytes });
  const picked = (await world.redis.readList(DLQ)).filter((_, i) => i % every === 0)
    .slice(-MAX_SELECTED_IDS);
  // Others bury by the operator's will, not by the model's.
  if (verb === "bury") world.excuse(picked);
  const ids = picked.map(messageId);
  const id = await jobs.plan({
    ...{ verb, watermark, planned: picked.length, plan: null, plannedBy: "ann", reason: "chaos" },
    selection: { source: "alerter", list: "dlq", query: "", ids },
  });
  return await jobs.start(id, { by: "bob" }) === "ok" ? id : null;
}

/** Starts the undo of an earlier purge now and then. @returns its id; `null`: it is not its turn, or nothing can be undone */
async function startUndo(
  { random }: World,
  { jobs, purged }: { jobs: JobStore; purged: string[] },
): Promise<string | null> {
  const undone = random.below(3) === 0 ? purged.pop() : undefined;
  if (undone === undefined) return null;
  const id = await jobs.plan({
    ...{ verb: "undo", watermark: { depth: 0, newestBytes: 0, newestDigest: "" }, planned: 1, plan: null },
    ...{ plannedBy: "ann", reason: "chaos", undoes: { id: undone, verb: "purge" } },
    selection: { source: "alerter", list: "dlq", query: "" },
  });
  return await jobs.start(id, { by: "bob" }) === "ok" ? id : null;
}

async function meddle({ random }: World, { jobs, id }: { jobs: JobStore; id: string }): Promise<void> {
  if (random.below(2) === 0) return void await jobs.request(id, "cancel");
  await jobs.request(id, "pause");
  await pause(random.below(MOST_MS));
  await jobs.request(id, "resume");
}
