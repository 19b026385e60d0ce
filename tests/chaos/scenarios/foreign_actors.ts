/**
 * Others at the lists while the service drains them. Counters are exact: bound 0. What MUTT's own replayer has moved is not
 * judged (it takes what is not JSON for a message, and stamps nothing), but counted like everything else.
 */
import type { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import { replay } from "../../../testkit/mutt/original.ts";
import { checkInGroups } from "../harness/checks.ts";
import { Engines } from "../harness/engines.ts";
import type { Findings } from "../harness/oracle.ts";
import { pause } from "../harness/pause.ts";
import type { Scenario, ScenarioContext, ScenarioResult } from "../harness/scenario.ts";
import { LISTS, World } from "../harness/world.ts";

const ROUNDS_A_CHECK = 50;
const ENGINES = 2;

/** Does something to the lists. */
type Act = (world: World, original: Original) => Promise<unknown>;

const ACTS: Readonly<Record<string, Act>> = {
  /** Looks at the oldest, and then pops whatever is the oldest by then. */
  retention: async (world) => {
    const list = world.random.pick(["dlq", "dead"] as const);
    for (let i = world.random.below(5); i >= 0; i--) {
      if (await world.admin.lindex(LISTS[list], world.redis.push === "LPUSH" ? -1 : 0) === null) return;
      await world.take(list, { how: "RPOP", count: 1 });
    }
  },
  RPOP: (world) => world.take("dlq", { how: "RPOP", count: 1 + world.random.below(5) }),
  LREM: (world) => world.take("dlq", { how: "LREM", count: world.random.below(1_000) }),
  LTRIM: (world) => world.take(anyList(world), { how: "LTRIM", count: 1 + world.random.below(20) }),
  DEL: (world) => world.take(anyList(world), { how: "DEL", count: 0 }),
  RENAME: async (world) => {
    const putBack = await world.park();
    await pause(world.random.below(20));
    await putBack();
  },
  producer: (world) => world.produce(1 + world.random.below(100)),
  original: (world, original) => original.replay(1 + world.random.below(20)),
};

/** See the top of this file. */
export const FOREIGN_ACTORS: Scenario = {
  name: "foreign-actors",
  about: `at the same lists: ${Object.keys(ACTS).join(", ")}`,
  rounds: { short: 60, full: 5_000 },
  canBeTurned: true,
  run: runActors,
};

async function runActors(context: ScenarioContext): Promise<ScenarioResult> {
  await using world = await World.open(context.random, { push: context.push });
  // MUTT's own service pushes to the left.
  const names = Object.keys(ACTS).filter((name) => context.push === "LPUSH" || name !== "original");
  const acts = Object.fromEntries(names.map((name) => [name, 0]));
  const original = new Original(world);
  const played = await checkInGroups(world, context, {
    most: ROUNDS_A_CHECK,
    play: (rounds) => actSeveral(world, { ...context, rounds }, { acts, original }),
  });
  return { ...played, figures: { ...acts, "moved by the original": original.moved } };
}

async function actSeveral(
  world: World,
  { rounds, lease, signal }: ScenarioContext,
  { acts, original }: { acts: Record<string, number>; original: Original },
): Promise<Findings> {
  const { random } = world, before = original.moved;
  await using engines = await Engines.start(world, { count: ENGINES, lease });
  if (lease === "wrong") world.startUsurper();
  world.startProducer({ most: 10, pauseMs: 10 });
  for (let round = 0; round < rounds && !signal.aborted; round++) {
    const name = random.pick(Object.keys(acts));
    if (await world.depth() < 30) await world.produce(30);
    const act = () => ACTS[name]!(world, original);
    if (random.below(2) === 0) await engines.beforeNextCommit(act, { brief: true });
    else await act();
    acts[name]!++;
  }
  await world.drain();
  return await world.check({ miscounted: await engines.miscounted({ byOthers: original.moved - before }) });
}

/** MUTT's own service, which says what it has moved. */
class Original {
  readonly #redis: Redis;
  moved = 0;

  constructor(world: World) {
    this.#redis = world.redis.client();
    const push = this.#redis.lpush.bind(this.#redis);
    const lpush = async (key: string, message: Buffer) => {
      this.moved++;
      world.excuse([message]);
      return await push(key, message);
    };
    Object.assign(this.#redis, { lpush });
  }

  replay(batchSize: number): Promise<void> {
    return replay(this.#redis, { batchSize });
  }
}

function anyList({ random }: World): "dlq" | "target" | "dead" {
  return random.pick(["dlq", "dlq", "target", "dead"] as const);
}
