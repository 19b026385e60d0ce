import assert from "node:assert/strict";
import { DEFAULT_RULES, INCIDENT_KINDS } from "../../../src/config/notify.ts";
import type { NewEntry } from "../../../src/journal/entries.ts";
import type { Notice } from "../../../src/notify/notice.ts";
import { LEASE_MS, type NoticeStore, Notifier, type NotifyPlan } from "../../../src/notify/notifier.ts";
import type { ObservedEntry, ObservedSample } from "../../../src/notify/observation.ts";
import { type Receiver, ReceiverError } from "../../../src/notify/receiver.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";
import { TestClock, turn } from "../../../testkit/test_clock.ts";

/** What all instances share: Redis, and what they observe. */
class World {
  readonly clock = new TestClock();
  readonly journal: string[] = [];
  readonly fields = new Map<string, string>();
  /** Entries of the other journals; a cursor is the number of those that were read. */
  readonly events: ObservedEntry[] = [];
  heldBy: ObservedSample["heldBy"] = [];
  isUp = true;
  /** Whether what happened can be read: on a cluster, the server of a source may be away by itself. */
  isReadable = true;
  lease = { token: "", untilMs: 0, writer: "" };
  /** What receivers got, by name. */
  readonly got: Record<string, string[]> = {};
  readonly ids: string[] = [];
  /** Names of receivers that fail, and how. */
  readonly failing = new Map<string, () => Promise<void>>();

  start(name: string, receivers: readonly string[] = ["ops"]): Instance {
    return new Instance(this, name, receivers);
  }

  store(token: string): NoticeStore {
    const { lease, fields, journal, clock } = this;
    const isOurs = () => lease.token === token && lease.untilMs > clock.nowMs();
    const answer = <Value>(value: () => Value) => Promise.resolve(this.isUp ? value() : null);
    return {
      take: (ms) =>
        answer(() => {
          if (lease.token !== token && lease.untilMs > clock.nowMs()) return false;
          Object.assign(lease, { token, untilMs: clock.nowMs() + ms });
          return true;
        }),
      release: () => Promise.resolve(void (isOurs() && (lease.untilMs = 0))),
      enter: () => answer(() => isOurs() && ((lease.writer = token), true)),
      read: (names) => answer(() => Object.fromEntries(names.map((name) => [name, fields.get(name) ?? ""]))),
      save: (given, entries) =>
        answer(() => {
          if (!isOurs() || lease.writer !== token) return false;
          for (const [name, value] of Object.entries(given)) fields.set(name, value);
          journal.push(...entries.map(toLine));
          return true;
        }),
    };
  }

  /** Entries of one look. */
  readonly mostEntries = 3;

  /** What a look finds: `cursor` is empty, or the number of entries that were read. */
  look(cursor: string): { entries: readonly ObservedEntry[]; cursor: string; isComplete: boolean } {
    const from = cursor === "" ? this.events.length : Number(cursor);
    const entries = this.events.slice(from, from + this.mostEntries), end = from + entries.length;
    return { entries, cursor: String(end), isComplete: end >= this.events.length };
  }

  /** Lets time pass in steps of five seconds. */
  async pass(seconds: number): Promise<void> {
    for (let left = seconds; left > 0; left -= 5) {
      await this.clock.advance(5_000);
      for (let i = 0; i < 20; i++) await turn();
    }
  }

  die(count: number, reason = "poison"): void {
    this.events.push({ what: "deaths", source: "alerter", atMs: this.clock.nowMs(), dead: { [reason]: count } });
  }
}

function toLine(entry: NewEntry): string {
  assert.ok(entry.kind === "incident");
  return `${entry.event} ${entry.reason}: ${entry.detail}`;
}

/** One instance. */
class Instance {
  readonly notifier: Notifier;
  readonly notes: string[] = [];
  readonly log = recordLog();

  constructor(world: World, token: string, receivers: readonly string[]) {
    this.notifier = new Notifier(planOf(world, receivers), {
      store: world.store(token),
      isReady: () => world.isUp,
      observe: (cursor) => {
        if (!world.isUp || !world.isReadable) return Promise.resolve(null);
        const { entries, ...behind } = world.look(cursor), nowMs = world.clock.nowMs();
        const samples = [{ atMs: nowMs, depth: 5, moved: 1, heldBy: world.heldBy }];
        const sources = [{ name: "alerter", samples, oldestAgeMs: null }];
        return Promise.resolve({ observation: { nowMs, instances: null, entries, sources }, ...behind });
      },
      readSample: (_, reason) => Promise.resolve({ id: "m_1", text: `an example of ${reason}` }),
      note: (entry) => this.notes.push(toLine(entry)),
      onResult: () => {},
      ...{ clock: world.clock, random: () => 0.5, log: this.log.log },
      onBug: (error) => {
        throw error;
      },
    });
    this.notifier.start();
  }

  /** Ends it as `kill -9` does: nothing is released, and nothing more is written. */
  async kill(): Promise<void> {
    const stopping = this.notifier.stop();
    await turn();
    await stopping;
  }
}

function planOf(world: World, names: readonly string[]): NotifyPlan {
  const receivers = names.map((name): Receiver => ({
    ...{ name, type: "webhook", repeatMs: null, close: () => {} },
    send: async ({ id, event, text }: Notice) => {
      await world.failing.get(name)?.();
      (world.got[name] ??= []).push(`${event} ${text}`);
      world.ids.push(`${name} ${id}`);
    },
  }));
  return {
    ...{ rules: DEFAULT_RULES, updateMs: 1_800_000 },
    routes: [{ sources: null, kinds: INCIDENT_KINDS, severity: "info", receivers: names }],
    receivers: receivers.map((receiver) => ({
      ...{ receiver, updateMs: 1_800_000, isQuiet: () => false },
      compose: ({ event, incident }, id, atMs) => ({
        ...{ id, event, incident, atMs, title: "", url: null },
        text: [incident.detail, ...incident.groups.map(({ sample }) => sample?.text)].join("; "),
      }),
    })),
  };
}

const POISON = "messages moved to the dead list as poison; an example of poison";

Deno.test("Notifier: a burst is one notice and one all-clear at each receiver, and the journal has both", async () => {
  const world = new World(), instance = world.start("a", ["ops", "mail"]);
  await world.pass(10);
  for (let i = 0; i < 10; i++) {
    world.die(1_000);
    await world.pass(5);
  }
  await world.pass(700);
  const told = [`began 1000 ${POISON}`, `ended 10000 ${POISON}`];
  assert.deepEqual(world.got, { ops: told, mail: told });
  assert.deepEqual(world.journal, [
    "began dead:poison: 1000 messages moved to the dead list as poison",
    "ended dead:poison: 10000 messages moved to the dead list as poison; over after 45 s",
  ]);
  await instance.notifier.stop();
});

Deno.test("Notifier: catches up at once when a look does not find everything", async () => {
  const world = new World(), instance = world.start("a");
  await world.pass(10);
  for (let i = 0; i < 30; i++) world.die(1);
  await world.pass(5);
  assert.equal(JSON.parse(world.fields.get("tracking")!).cursor, "30");
  await instance.notifier.stop();
});

Deno.test("Notifier: another instance goes on where one died, and repeats nothing", async () => {
  const world = new World(), first = world.start("a");
  await world.pass(10);
  world.die(3);
  await world.pass(10);
  await first.kill();
  // What dies while nobody watches is told too.
  Object.assign(world.lease, { token: "a", untilMs: world.clock.nowMs() + LEASE_MS });
  world.die(4);
  const second = world.start("b");
  await world.pass(10);
  assert.deepEqual(world.got.ops, [`began 3 ${POISON}`], "it waits for the lease");
  await world.pass(700);
  assert.deepEqual(world.got.ops, [`began 3 ${POISON}`, `ended 7 ${POISON}`]);
  assert.equal(world.journal.length, 2);
  await second.notifier.stop();
});

Deno.test("Notifier: of two instances one tells; after a stop the other one does", async () => {
  const world = new World(), one = world.start("a"), other = world.start("b");
  await world.pass(10);
  world.die(2);
  await world.pass(20);
  assert.equal(world.got.ops!.length, 1);
  await one.notifier.stop();
  await world.pass(10);
  world.die(1, "malformed");
  await world.pass(20);
  assert.equal(world.got.ops!.length, 2);
  assert.equal(new Set(world.ids).size, 2);
  await other.notifier.stop();
});

Deno.test("Notifier: a receiver that hangs delays no other one", async () => {
  const world = new World(), instance = world.start("a", ["hung", "ops"]);
  const hung = Promise.withResolvers<void>();
  world.failing.set("hung", () => hung.promise);
  await world.pass(10);
  world.die(2);
  await world.pass(700);
  assert.deepEqual([world.got.ops, world.got.hung], [[`began 2 ${POISON}`, `ended 2 ${POISON}`], undefined]);
  hung.resolve();
  await world.pass(60);
  assert.deepEqual(world.got.hung, [`began 2 ${POISON}`, `ended 2 ${POISON}`], "what it was sending, then the end");
  await instance.notifier.stop();
});

Deno.test("Notifier: retries with growing pauses, says so once, and tells the state then", async () => {
  const world = new World(), instance = world.start("a");
  let tries = 0;
  world.failing.set("ops", () => {
    tries++;
    throw new ReceiverError("unreachable", "cannot connect");
  });
  await world.pass(10);
  world.die(2);
  await world.pass(60);
  const early = tries;
  assert.ok(early >= 3 && early <= 6, `${early} tries in a minute`);
  await world.pass(3_600);
  assert.ok(tries - early >= 5 && tries - early <= 16, `${tries - early} tries in the next hour`);
  assert.equal(instance.log.lines.filter(({ event }) => event === "receiver_fails").length, 1);
  const { failing } = instance.notifier.outboxes[0]!.memory!;
  assert.deepEqual([failing!.code, failing!.tries], ["unreachable", tries]);
  world.failing.clear();
  await world.pass(700);
  assert.deepEqual(world.got.ops, [`ended 2 ${POISON}`]);
  assert.equal(instance.log.lines.filter(({ event }) => event === "receiver_works").length, 1);
  await instance.notifier.stop();
});

Deno.test("Notifier: gives up what a receiver refuses, and goes on with the next", async () => {
  const world = new World(), instance = world.start("a");
  world.failing.set("ops", () => {
    throw new ReceiverError("refused", "400");
  });
  await world.pass(10);
  world.die(2);
  await world.pass(120);
  world.failing.clear();
  world.die(1, "malformed");
  await world.pass(20);
  assert.deepEqual(world.got.ops, ["began 1 message moved to the dead list as malformed; an example of malformed"]);
  assert.equal(instance.notifier.outboxes[0]!.memory!.dropped, 1);
  assert.equal(instance.log.lines.filter(({ event }) => event === "notice_dropped").length, 1);
  await instance.notifier.stop();
});

Deno.test("Notifier: a wrong password is tried rarely, and what waits is told when it is mended", async () => {
  const world = new World(), instance = world.start("a");
  let tries = 0;
  world.failing.set("ops", () => {
    tries++;
    throw new ReceiverError("unauthorized", "wrong password");
  });
  await world.pass(10);
  world.die(2);
  await world.pass(3_600);
  assert.ok(tries >= 6 && tries <= 13, `${tries} tries in an hour`);
  world.failing.clear();
  await world.pass(700);
  assert.deepEqual(world.got.ops, [`ended 2 ${POISON}`]);
  await instance.notifier.stop();
});

Deno.test("Notifier: an outage of Redis is told from memory, and journalled afterwards", async () => {
  const world = new World(), instance = world.start("a"), standby = world.start("b");
  await world.pass(10);
  world.die(2);
  await world.pass(10);
  world.isUp = false;
  await world.pass(600);
  const began = "began Gate redis is closed: Redis cannot be used";
  assert.deepEqual(world.got.ops, [`began 2 ${POISON}`, began], "by the instance that held the lease");
  world.isUp = true;
  await world.pass(60);
  const ended = "ended Gate redis is closed: Redis cannot be used";
  assert.ok(world.got.ops!.includes(ended));
  assert.equal(world.got.ops!.filter((line) => line === ended || line === began).length, 2);
  assert.deepEqual([...instance.notes, ...standby.notes].map((line) => line.split(":").slice(0, 2).join(":")), [
    ...["began gate_closed:redis", "ended gate_closed:redis"],
  ]);
  await world.pass(700);
  assert.equal(world.got.ops!.filter((line) => line.startsWith("ended 2 ")).length, 1);
  assert.equal(new Set(world.ids).size, world.ids.length);
  await Promise.all([instance.notifier.stop(), standby.notifier.stop()]);
});

Deno.test("Notifier: after an outage of Redis the only instance repeats nothing that it told before", async () => {
  const world = new World(), instance = world.start("a");
  await world.pass(10);
  world.die(2);
  await world.pass(10);
  world.isUp = false;
  await world.pass(400);
  world.isUp = true;
  await world.pass(700);
  const redis = "Gate redis is closed: Redis cannot be used";
  assert.deepEqual(world.got.ops!.toSorted(), [
    ...[`began 2 ${POISON}`, `began ${redis}`, `ended 2 ${POISON}`, `ended ${redis}`],
  ]);
  assert.equal(new Set(world.ids).size, 4);
  await instance.notifier.stop();
});

Deno.test("Notifier: tells that Redis cannot be used if its lease is kept, but the sources cannot be read", async () => {
  const world = new World(), instance = world.start("a");
  await world.pass(10);
  world.isReadable = false;
  await world.pass(400);
  const redis = "Gate redis is closed: Redis cannot be used";
  assert.deepEqual(world.got.ops, [`began ${redis}`]);
  world.isReadable = true;
  await world.pass(60);
  assert.deepEqual(world.got.ops, [`began ${redis}`, `ended ${redis}`]);
  await instance.notifier.stop();
});

Deno.test("Notifier: what was sent while Redis could not keep it is not sent again", async () => {
  const world = new World(), instance = world.start("a");
  await world.pass(10);
  // Redis goes away while the notice is on its way.
  world.failing.set("ops", () => Promise.resolve(void (world.isUp = false)));
  world.die(2);
  await world.pass(10);
  assert.equal(world.got.ops!.length, 1);
  world.failing.clear();
  await world.pass(60);
  world.isUp = true;
  await world.pass(700);
  assert.deepEqual(world.got.ops, [`began 2 ${POISON}`, `ended 2 ${POISON}`]);
  await instance.notifier.stop();
});

Deno.test("Notifier: when Redis has lost everything, who was told of a begin is told of the end", async () => {
  const world = new World(), instance = world.start("a");
  await world.pass(10);
  world.die(2);
  await world.pass(10);
  // FLUSHALL: the journals begin anew, too.
  world.fields.clear();
  world.events.length = 0;
  Object.assign(world.lease, { token: "", untilMs: 0, writer: "" });
  await world.pass(700);
  assert.deepEqual(world.got.ops, [`began 2 ${POISON}`, `ended 2 ${POISON}`]);
  assert.equal(new Set(world.ids).size, 2);
  await instance.notifier.stop();
});

Deno.test("Notifier: a lease that another instance had meanwhile makes it read what that one wrote", async () => {
  const world = new World(), instance = world.start("a");
  await world.pass(10);
  world.die(2);
  await world.pass(10);
  // Somebody else held the lease, told the end, and is gone.
  world.lease.writer = "b";
  const saved = JSON.parse(world.fields.get("tracking")!);
  saved.tracking.incidents[0].endedMs = world.clock.nowMs();
  saved.tracking.memory.deaths = [];
  world.fields.set("tracking", JSON.stringify(saved));
  world.die(3);
  await world.pass(20);
  assert.deepEqual(world.got.ops, [`began 2 ${POISON}`, `ended 2 ${POISON}`, `began 3 ${POISON}`]);
  await instance.notifier.stop();
});

Deno.test("Notifier.replace: keeps what a receiver was told; a new one is told what is open", async () => {
  const world = new World(), instance = world.start("a", ["ops"]);
  await world.pass(10);
  world.die(2);
  await world.pass(10);
  await instance.notifier.replace(planOf(world, ["ops", "mail"]));
  await world.pass(20);
  assert.deepEqual(world.got, { ops: [`began 2 ${POISON}`], mail: [`began 2 ${POISON}`] });
  await instance.notifier.replace({ ...planOf(world, ["mail"]), rules: { ...DEFAULT_RULES, dead: "off" } });
  await world.pass(20);
  assert.equal(world.got.mail!.length, 2, "a rule that is off ends the incident");
  assert.equal(world.got.ops!.length, 1);
  await instance.notifier.stop();
});

Deno.test("Notifier: a job that failed is told once, and the journal, which told it, is not told again", async () => {
  const world = new World(), instance = world.start("a");
  await world.pass(10);
  const detail = "The job j_1 (redrive) of ann has failed";
  for (let i = 0; i < 2; i++) {
    world.events.push({
      what: "job",
      source: "alerter",
      atMs: world.clock.nowMs(),
      job: "j_1",
      hasFailed: true,
      detail,
    });
    await world.pass(60);
  }
  assert.deepEqual([world.got.ops, world.journal], [[`happened ${detail}`], []]);
  await instance.notifier.stop();
});

Deno.test("Notifier: what others wrote into its fields counts as nothing", async () => {
  const world = new World();
  world.fields.set("tracking", `{"cursor":"","tracking":{"memory":1}}`);
  world.fields.set("receiver:ops", "[]");
  const instance = world.start("a");
  await world.pass(10);
  world.die(2);
  await world.pass(10);
  assert.deepEqual(world.got.ops, [`began 2 ${POISON}`]);
  await instance.notifier.stop();
});
