/**
 * A source that records its stamps beside the messages, and a consumer that keeps nothing but their bytes, while the service is killed and
 * others meddle with the DLQ. Beside the oracle's account, byte for byte: whatever is dead as poison has failed exactly as often as its
 * stamp says, because a move and its record are one step.
 */
import { Buffer } from "node:buffer";
import type { SeededRandom } from "../../../testkit/mutt/random.ts";
import { openEnvelope } from "../../../src/message/envelope.ts";
import { findMember, objectOf, rawValueOf } from "../../../src/message/json_object.ts";
import { readMessage } from "../../../src/message/read_message.ts";
import { parseRecord } from "../../../src/message/stamp_record.ts";
import { recordOrderKey, recordsKey } from "../../../src/redis/keys.ts";
import type { Service } from "../../../testkit/service.ts";
import { waitUntil } from "../../../testkit/wait.ts";
import { checkInGroups } from "../harness/checks.ts";
import { countCommits, countLogged, startInstance } from "../harness/instances.ts";
import { addFindings, brokenPromises, type Findings } from "../harness/oracle.ts";
import { pause } from "../harness/pause.ts";
import type { Scenario, ScenarioContext, ScenarioResult } from "../harness/scenario.ts";
import { LISTS, World, type WorldMix } from "../harness/world.ts";

/** Kills between two checks of the whole account. */
const KILLS_A_CHECK = 25;
const MOST_INSTANCES = 2, PROGRESS_TIMEOUT_MS = 3_000;
/** Messages that a round begins with, and those of one commit. */
const BACKLOG = 100, CHUNK = "10";
/** The rounds are over when so much poison is dead, or after this time, in milliseconds. */
const ENOUGH_POISON = 3, POISON_MS = 15_000;
/** Text of what the consumer fails, and of byte-equal messages. */
const POISON = "poison", SAME = "the same text";
const SOURCES = { sources: { alerter: { record: "beside", counter: null, cutOnReplay: [], required: [] } } };

/** Text, MessagePack, arrays, objects; every fortieth fails; some are equal, which are counted together, and may be dead. */
const MIX: WorldMix = {
  payload: (random: SeededRandom, number: number) => {
    const kind = random.below(40);
    if (kind === 0) return Buffer.from(`${POISON} ${number}`);
    if (kind === 1) return Buffer.from(SAME);
    if (kind < 10) return Buffer.concat([Buffer.from([0x81, 0xa2, 0xff, 0x00, 0xce]), Buffer.from(String(number))]);
    if (kind < 18) return Buffer.from(`[${number}, "array"]`);
    return Buffer.from(kind < 28 ? `{"id": ${number}, "total": 12.50}` : `text ${number}`);
  },
  fateOf: (payload) => isFailing(payload) || Buffer.from(payload).equals(Buffer.from(SAME)) ? "any" : undefined,
  rules: { required: [], cut: [], counter: "none", beside: true },
};

function isFailing(payload: Uint8Array): boolean {
  return Buffer.from(payload).includes(POISON);
}

/** Something that others do to the DLQ. */
const ACTS: readonly ((world: World) => Promise<unknown>)[] = [
  (world) => world.take("dlq", { how: "RPOP", count: 1 + world.random.below(5) }),
  (world) => world.take("dlq", { how: "LREM", count: world.random.below(1_000) }),
  async (world) => {
    const putBack = await world.park();
    await pause(world.random.below(20));
    await putBack();
  },
];

/** See the top of this file. */
export const RECORD_BESIDE: Scenario = {
  name: "record-beside",
  about:
    "kill -9 and foreign actors while stamps are recorded beside messages of any bytes, before a consumer that keeps only these",
  rounds: { short: 3, full: 300 },
  run: runKills,
};

interface Tally {
  kills: number;
  acts: number;
  returns: number;
  poison: number;
}

async function runKills(context: ScenarioContext): Promise<ScenarioResult> {
  await using world = await World.open(context.random, { mix: MIX });
  const folder = await Deno.makeTempDir({ prefix: "chaos-" }), path = `${folder}/sources.json`;
  await Deno.writeTextFile(path, JSON.stringify(SOURCES));
  const tally = { kills: 0, acts: 0, returns: 0, poison: 0 };
  try {
    const played = await checkInGroups(world, context, {
      most: KILLS_A_CHECK,
      play: (rounds) => killSeveral(world, { ...context, rounds }, { tally, path }),
    });
    const { acts, returns, poison } = tally;
    return {
      ...played,
      figures: { "acts of others": acts, "returned by the consumer": returns, "dead as poison": poison },
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function killSeveral(
  world: World,
  { rounds, lease, signal }: ScenarioContext,
  { tally, path }: { tally: Tally; path: string },
): Promise<Findings> {
  const { random } = world;
  await using all = new AsyncDisposableStack();
  const started: Service[] = [];
  const start = () => {
    const name = `instance-${started.length}`;
    const service = all.use(startInstance(world.redis, lease, {
      ...{ POD_NAME: name, REMEDIATION_SOURCES_PATH: path, REMEDIATION_CHUNK_MESSAGES: CHUNK },
    }));
    started.push(service);
    return { name, service };
  };
  const running = Array.from({ length: 1 + random.below(MOST_INSTANCES) }, start);
  await world.produce(200);
  if (lease === "wrong") world.startUsurper();
  world.startConsumer(POISON);
  let kills = 0;
  for (; kills < rounds && !signal.aborted; kills++) {
    await fill(world);
    const victim = await untilMove(world, running.map(({ service }) => service));
    if (random.below(2) === 0) {
      tally.acts++;
      await random.pick(ACTS)(world);
    }
    const { name, service } = running[victim]!;
    service.signal("SIGKILL");
    running[victim] = start();
    if (random.below(8) > 0) await world.expireLease(name);
  }
  // Until enough poison is dead, or some time is over. Others go on arriving: alone, what fails proves nothing against itself.
  await waitUntil(async () => (await fill(world), (await countPoison(world)) >= ENOUGH_POISON), {
    what: "",
    timeoutMs: POISON_MS,
  }).catch(() => {});
  await world.drain();
  await waitUntil(async () => await uncounted(world, started) <= kills * Number(CHUNK), { what: "" }).catch(() => {});
  const difference = await uncounted(world, started);
  tally.kills += kills;
  tally.returns += [...(await world.returns()).values()].reduce((a, b) => a + b, 0);
  tally.poison += await countPoison(world);
  const findings = await world.check({ miscounted: Math.max(0, -difference, difference - kills * Number(CHUNK)) });
  return addFindings(findings, brokenPromises([...await findMiscounts(world), ...await findBadRecords(world)]));
}

/** Lets messages wait in the DLQ, and the next cycle begin. */
async function fill(world: World): Promise<void> {
  if (await world.depth() < BACKLOG / 2) await world.produce(BACKLOG);
  await world.age();
}

/** @returns the number of an instance that has just moved messages; of any, if none does */
async function untilMove(world: World, running: readonly Service[]): Promise<number> {
  const before = running.map(countCommits), mover = () => running.findIndex((one, i) => countCommits(one) > before[i]!);
  await waitUntil(() => mover() >= 0, { what: "", timeoutMs: PROGRESS_TIMEOUT_MS }).catch(() => {});
  const victim = mover();
  await pause(world.random.below(20));
  return victim < 0 ? world.random.below(running.length) : victim;
}

async function uncounted(world: World, started: readonly Service[]): Promise<number> {
  return await world.countMoved() - started.reduce((sum, service) => sum + countLogged(service), 0);
}

interface DeadPoison {
  readonly text: string;
  readonly failures: number;
}

/** The dead messages that the consumer fails, and the failures in their stamps. */
async function readPoison(world: World): Promise<readonly DeadPoison[]> {
  return (await world.readDead()).flatMap((bytes) => {
    const enclosed = openEnvelope(bytes), message = readMessage(bytes);
    if (!enclosed || !isFailing(enclosed) || !message.readable) return [];
    const stamp = objectOf(findMember(message, "_remediation")!)!,
      failures = rawValueOf(findMember(stamp, "failures")!);
    return [{ text: Buffer.from(enclosed).toString(), failures: Number(failures) }];
  });
}

async function countPoison(world: World): Promise<number> {
  return (await readPoison(world)).length;
}

/** What a stamp counts is what has happened. */
async function findMiscounts(world: World): Promise<string[]> {
  const returns = await world.returns();
  return (await readPoison(world)).flatMap(({ text, failures }) => {
    const happened = returns.get(text) ?? 0;
    return failures === happened ? [] : [`${text} came back ${happened} times, its stamp counts ${failures}`];
  });
}

/** Every record can be read, and has an entry by which it is deleted in time. */
async function findBadRecords(world: World): Promise<string[]> {
  const records = Object.entries(await world.admin.hgetall(recordsKey(LISTS.dlq)));
  const entries = (await world.admin.lrange(recordOrderKey(LISTS.dlq), 0, -1)).map((entry) => entry.split(":"));
  const written = new Set(
    entries.flatMap(([, second, keys]) => keys!.match(/.{16}/g)!.map((key) => `${second}:${key}`)),
  );
  return records.flatMap(([key, text]) => {
    const second = /\d+$/.exec(text)?.[0];
    return parseRecord(text, "alerter") && written.has(`${second}:${key}`) ? [] : [`record ${key} ${text}`];
  });
}
