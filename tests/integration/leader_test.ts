/** The leader lease: who moves a source's messages, who takes over, and that a displaced leader is refused by Redis itself. */
import assert from "node:assert/strict";
import { createSources } from "../../src/mutt/built_in_sources.ts";
import { DEFAULT_SETTINGS } from "../../src/config/fields.ts";
import { DeadLetterStore } from "../../src/redis/dead_letter_store.ts";
import { stateKey } from "../../src/redis/keys.ts";
import { LeaseStore } from "../../src/redis/lease_store.ts";
import {
  createEngine,
  DLQ,
  dumpKeys,
  type Engine,
  type EngineOptions,
  eventTexts,
  idOf,
  readLists,
  replayedText,
  STATE,
  TARGET,
  waitUntilEmpty,
} from "../../testkit/engine.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { waitUntil } from "../../testkit/wait.ts";

const server = shareRedis();
/** The lease of a test. */
const LEASE_MS = 1_000;

function elect(name: string, { settings, ...more }: EngineOptions = {}): Engine {
  const elected = { leaderElection: true, leaseMs: LEASE_MS, intervalMs: 1_000, ...settings };
  return createEngine(server(), { name, ...more, settings: elected });
}

const roleOf = (engine: Engine) => engine.source.leadership.status().role;

async function leaderGauge(engine: Engine): Promise<number> {
  const line = /^mutt_remediation_leader\{source="alerter"\} (\d)$/m.exec(await engine.metrics.render());
  return Number(line?.[1]);
}

function lease(token: string): LeaseStore {
  return new LeaseStore(server().client(), stateKey(DLQ), { token, name: token });
}

Deno.test("leader: a lone instance leads at once, tells so, and gives the lease back when it stops", async () => {
  await server().seedList(DLQ, eventTexts(20));
  const engine = elect("a");
  await engine.start();
  await waitUntilEmpty(server(), DLQ);
  assert.equal(roleOf(engine), "leader");
  assert.equal(await leaderGauge(engine), 1);
  const { leader, leaderName } = await server().client().hgetall(STATE);
  assert.equal(leaderName, "a");
  assert.ok(leader);
  await engine[Symbol.asyncDispose]();
  assert.deepEqual(await server().client().hmget(STATE, "leader", "leaderUntilMs"), ["", "0"]);
});

Deno.test("leader: a standby moves nothing and says who leads, and takes over at once when the leader stops", async () => {
  await using standby = elect("b", { settings: { leaseMs: 300_000 } });
  const leader = elect("a", { settings: { leaseMs: 300_000 } });
  await leader.turn();
  await standby.start();
  await server().seedList(DLQ, eventTexts(20));
  await waitUntil(() => roleOf(standby) === "standby", { what: "it stands by" });
  const outcome = await standby.turn({ begin: "now" });
  assert.deepEqual([outcome.stoppedBy, outcome.replayed, outcome.began], ["leader", 0, false]);
  const [closed] = standby.source.board.last().closed;
  assert.match(closed?.detail ?? "", /^a leads; its lease ends in \d+\.\d s/);
  assert.equal(await leaderGauge(standby), 0);
  assert.equal((await readLists(server())).dlq.length, 20);
  await leader[Symbol.asyncDispose]();
  await waitUntilEmpty(server(), DLQ);
  assert.equal(roleOf(standby), "leader");
});

Deno.test("leader: a standby takes over once the lease of a killed leader is over, and nothing is lost or doubled", async () => {
  const texts = eventTexts(100);
  const leader = elect("a");
  await using standby = elect("b");
  await leader.turn();
  await standby.start();
  leader.beforeCommit((number) => number === 4 ? void leader.kill() : undefined);
  await server().seedList(DLQ, texts);
  await leader.turn({ begin: "now" }).catch(() => {});
  await leader.kill();
  await waitUntilEmpty(server(), DLQ);
  const { target } = await readLists(server());
  assert.equal(new Set(target).size, 100);
  assert.equal(target.length, 100);
  assert.ok((await standby.moved()).replayed >= 60);
});

Deno.test("leader: Redis refuses the commit of one who was displaced after its read", async () => {
  const texts = eventTexts(20);
  await server().seedList(DLQ, texts);
  await using engine = elect("a", { settings: { leaseMs: 300_000 } });
  const other = lease("other");
  engine.beforeCommit(async (number) => {
    if (number === 2) await other.take({ durationMs: 300_000, force: true });
  });
  const outcome = await engine.turn();
  assert.deepEqual([outcome.stoppedBy, outcome.replayed], ["leader", 10]);
  assert.deepEqual(await engine.commits(), { ok: 1, not_leader: 1 });
  assert.equal(roleOf(engine), "standby");
  const { dlq, target } = await readLists(server());
  assert.deepEqual([dlq, target], [texts.slice(10), texts.slice(0, 10).map((text) => replayedText(text))]);
  await other.release();
  await waitUntil(async () => (await engine.turn()).depthAfter === 0, { what: "it leads again and goes on" });
  assert.deepEqual(await engine.moved(), { replayed: 20, dead: {} });
});

Deno.test("leader: Redis refuses the beginning of a cycle by one who does not lead, and changes nothing", async () => {
  await server().seedList(DLQ, eventTexts(2));
  const [setup] = createSources(DEFAULT_SETTINGS);
  const client = server().client();
  await lease("other").take({ durationMs: 60_000 });
  const before = await dumpKeys(client);
  const store = new DeadLetterStore({ reader: client, committer: client, mover: server().client() }, setup!.policy, {
    token: "mine",
  });
  const begin = () => store.begin({ sequence: "0", intervalMs: 0, budget: 1, fields: {} });
  assert.equal(await begin(), "not_leader");
  assert.deepEqual(await dumpKeys(client), before);
  await lease("mine").take({ durationMs: 60_000, force: true });
  assert.equal(await begin(), "ok");
});

Deno.test("leader: a lease is kept from others until it is over, renewed by its holder, and taken by force", async () => {
  const [a, b] = [lease("a"), lease("b")];
  assert.deepEqual(await a.take({ durationMs: 60_000 }), {
    ...{ isOurs: true, wasOffered: false, holder: "a", token: "a", leftMs: 60_000 },
  });
  const held = await b.take({ durationMs: 60_000 });
  assert.deepEqual([held.isOurs, held.holder], [false, "a"]);
  assert.ok(held.leftMs > 50_000 && held.leftMs <= 60_000);
  await b.release();
  assert.equal((await b.take({ durationMs: 60_000 })).isOurs, false, "only the holder gives it back");
  assert.equal((await a.take({ durationMs: 100 })).isOurs, true);
  await waitUntil(async () => (await b.take({ durationMs: 60_000 })).isOurs, { what: "it is over" });
  assert.equal((await a.take({ durationMs: 60_000, force: true })).isOurs, true);
});

for (
  const [what, fields] of [
    ["of a clock that was set back", { leaderUntilMs: "9".repeat(14), leaderForMs: "15000" }],
    ["without an end", { leaderUntilMs: "" }],
    ["of nonsense", { leaderUntilMs: "inf", leaderForMs: "nan" }],
    ["without a holder", { leader: "" }],
  ] as [string, Record<string, string>][]
) {
  Deno.test(`leader: a lease ${what} holds nobody up`, async () => {
    await lease("a").take({ durationMs: 60_000 });
    await server().client().hset(STATE, fields);
    assert.equal((await lease("b").take({ durationMs: 60_000 })).isOurs, true);
  });
}

Deno.test("leader: an offered lease is taken only by the instance that it is offered to, and only while the offer stands", async () => {
  const [a, b, c] = [lease("a"), lease("b"), lease("c")], durationMs = 60_000;
  assert.equal(await a.offer({ to: "b", forMs: 60_000 }), false, "only the holder offers");
  await a.take({ durationMs });
  assert.equal(await b.offer({ to: "b", forMs: 60_000 }), false, "only the holder offers");
  assert.equal(await a.offer({ to: "b", forMs: 60_000 }), true);
  const { isOurs, wasOffered } = await a.take({ durationMs });
  assert.deepEqual([isOurs, wasOffered], [true, false], "until it is taken, the holder renews it");
  assert.equal((await c.take({ durationMs })).isOurs, false);
  assert.deepEqual(await b.take({ durationMs }), {
    ...{ isOurs: true, wasOffered: true, holder: "b", token: "b", leftMs: durationMs },
  });
  const { isOurs: again, token } = await a.take({ durationMs });
  assert.deepEqual([again, token], [false, "b"]);
  assert.equal(await b.offer({ to: "c", forMs: 1 }), true);
  const [, untilMs] = (await server().client().hget(STATE, "leaderOffer"))!.split(" ");
  await waitUntil(() => Date.now() > Number(untilMs), { what: "the offer is over" });
  assert.equal((await c.take({ durationMs })).isOurs, false);
});

for (
  const [how, end] of [
    ["taken by force", (c: LeaseStore) => c.take({ durationMs: 60_000, force: true })],
    ["over", async (c: LeaseStore) => {
      await server().client().hset(STATE, "leaderUntilMs", "1");
      await c.take({ durationMs: 60_000 });
    }],
  ] as const
) {
  Deno.test(`leader: an offer ends with the lease of the instance that made it, when that is ${how}`, async () => {
    const [a, b, c] = [lease("a"), lease("b"), lease("c")];
    await a.take({ durationMs: 60_000 });
    await a.offer({ to: "b", forMs: 60_000 });
    await end(c);
    assert.deepEqual(await server().client().hmget(STATE, "leader", "leaderOffer"), ["c", ""]);
    assert.equal((await b.take({ durationMs: 60_000 })).isOurs, false);
  });
}

for (const offer of ["b", "b soon", "b 1e99", `b ${"9".repeat(400)}`, "  ", "x".repeat(100_000), " 9999999999999"]) {
  Deno.test(`leader: an offer like ${JSON.stringify(offer.slice(0, 12))} that nobody made gives the lease to no one`, async () => {
    await lease("a").take({ durationMs: 60_000 });
    await server().client().hset(STATE, "leaderOffer", offer);
    assert.equal((await lease("b").take({ durationMs: 60_000 })).isOurs, false);
    assert.equal((await lease("a").take({ durationMs: 60_000 })).isOurs, true);
  });
}

Deno.test("leader: a drain that is handed over on its way goes on in order, and nothing is told as a failure", async () => {
  const texts = eventTexts(400);
  await using first = elect("a", { token: "token-a", settings: { leaseMs: 300_000 } });
  await using second = elect("b", { token: "token-b", settings: { leaseMs: 300_000 } });
  await first.start();
  await waitUntil(() => roleOf(first) === "leader", { what: "the first leads" });
  await second.start();
  await waitUntil(() => roleOf(second) === "standby", { what: "the second stands by" });
  first.beforeCommit(async (number) => {
    if (number === 5) await first.source.leadership.offer({ to: "token-b", forMs: 60_000 });
    if (number === 6) {
      await waitUntil(() => roleOf(second) === "leader", { what: "the second leads", timeoutMs: 10_000 });
    }
  });
  await server().seedList(DLQ, texts);
  await waitUntilEmpty(server(), DLQ);
  assert.deepEqual((await readLists(server())).target.map(idOf), texts.map(idOf));
  assert.deepEqual(await first.commits(), { ok: 5, not_leader: 1 });
  assert.deepEqual([await first.moved(), await second.moved()], [
    { replayed: 50, dead: {} },
    { replayed: 350, dead: {} },
  ]);
  await waitUntil(() => roleOf(first) === "standby", { what: "the first stands by" });
  const told = [...first.lines, ...second.lines].filter(({ level }) => level !== "INFO" && level !== "DEBUG");
  assert.deepEqual([told, await first.errors(), await second.errors()], [[], {}, {}]);
  const messages = [first, second].map(({ lines }) => lines.filter(({ event }) => event === "leader").at(-1)!.message);
  assert.deepEqual(messages, [
    "Remediation: this instance has handed alerter over to b, which led fewer sources",
    "Remediation: this instance leads alerter, handed over by a",
  ]);
});

for (const isHandedOver of [false, true]) {
  const does = isHandedOver ? "does not begin a cycle before it is due" : "begins a cycle at once";
  Deno.test(`leader: one that leads for the first time ${does}, ${isHandedOver ? "after" : "without"} a hand-over`, async () => {
    await using first = elect("a", { settings: { leaseMs: 300_000, intervalMs: 3_600_000 } });
    await using second = elect("b", { token: "token-b", settings: { leaseMs: 300_000, intervalMs: 3_600_000 } });
    await first.turn({ begin: "now" });
    await second.turn();
    // Longer ago than two starts in a row.
    await server().client().hset(STATE, "startedAtMs", Date.now() - 60_000);
    await server().seedList(DLQ, eventTexts(3));
    if (isHandedOver) await first.source.leadership.offer({ to: "token-b", forMs: 60_000 });
    else await first[Symbol.asyncDispose]();
    const { began } = await second.turn();
    assert.deepEqual([roleOf(second), began], ["leader", !isHandedOver]);
  });
}

Deno.test("leader: an instance whose replay is switched off lets another lead", async () => {
  await using off = elect("a", { settings: { enabled: false } });
  await using on = elect("b");
  await off.start();
  await on.start();
  await server().seedList(DLQ, eventTexts(20));
  await waitUntilEmpty(server(), DLQ);
  assert.deepEqual([roleOf(on), await leaderGauge(off)], ["leader", 0]);
});

Deno.test("leader: tells why it cannot lead when Redis refuses the lease, and no recovery before there is one", async () => {
  const admin = server().client();
  await server().seedList(DLQ, eventTexts(20));
  await admin.config("SET", "maxmemory", "1");
  try {
    await using engine = elect("a");
    await engine.start();
    await waitUntil(async () => ((await engine.errors()).OOM ?? 0) >= 2, { what: "OOM is counted twice" });
    // The trial of gate `redis` counts too, and may be the first.
    const detail = () => engine.source.board.last().closed.find(({ name }) => name === "leader")?.detail ?? "";
    await waitUntil(() => /leader is not known.*OOM/.test(detail()), { what: "gate leader says why" });
    const told = engine.lines.filter(({ event }) => /^redis_(error|recovered)$/.test(event)).map((
      { event, fields },
    ) => [event, fields.code]);
    assert.deepEqual(told, [["redis_error", "OOM"]]);
    await admin.config("SET", "maxmemory", "0");
    await waitUntilEmpty(server(), DLQ);
    await waitUntil(() => engine.lines.some(({ event }) => event === "redis_recovered"), {
      what: "the recovery is told",
    });
  } finally {
    await admin.config("SET", "maxmemory", "0");
  }
});

Deno.test("leader: a displaced leader asks again at once when the lease is given back", async () => {
  await using engine = elect("a", { settings: { leaseMs: 300_000 } });
  const other = lease("other");
  await engine.start();
  await waitUntil(() => roleOf(engine) === "leader", { what: "it leads" });
  await other.take({ durationMs: 300_000, force: true });
  engine.source.leadership.refused();
  await waitUntil(() => roleOf(engine) === "standby", { what: "it stands by" });
  await other.release();
  await waitUntil(() => roleOf(engine) === "leader", { what: "it leads again" });
});

Deno.test("leader: shows the name of a holder in one short line, whoever wrote it", async () => {
  await lease("a").take({ durationMs: 60_000 });
  await server().client().hset(STATE, "leaderName", `\x1b[2Jbad\r\nname${"x".repeat(1_000)}`);
  const { holder } = await lease("b").take({ durationMs: 60_000 });
  assert.match(holder, /^ \[2Jbad namex+$/);
  assert.equal(holder.length, 200);
});

Deno.test("leader: tells that Redis is back though replay is switched off", async () => {
  await using engine = elect("a", { settings: { enabled: false }, commandTimeoutMs: 100 });
  await engine.start();
  await waitUntil(() => engine.source.replay.lastSnapshot() !== null, { what: "it turns" });
  await server().client().client("PAUSE", 400);
  const tells = (event: string) => engine.lines.some((line) => line.event === event);
  await waitUntil(() => tells("redis_error"), { what: "the failure is told" });
  await waitUntil(() => tells("redis_recovered"), { what: "the recovery is told" });
});

Deno.test("leader: what the record says of cycles and canaries is the next leader's too", async () => {
  const first = elect("a");
  await server().seedList(DLQ, eventTexts(100));
  await first.turn();
  // All of them come back: a common failure.
  const client = server().client();
  while (await client.rpoplpush(TARGET, DLQ));
  await first.turn({ begin: "now" });
  const { cycle, brake, tallies } = (await first.source.store.readState()).record;
  assert.equal(brake.suspect, true);
  await first[Symbol.asyncDispose]();
  await using second = elect("b");
  await second.turn({ begin: "never" });
  const taken = (await second.source.store.readState()).record;
  assert.deepEqual({ cycle: taken.cycle, brake: taken.brake, tallies: taken.tallies }, { cycle, brake, tallies });
  assert.equal(tallies[0]?.returned, 100);
});

Deno.test("leader: instances with one token move nothing twice, though all of them believe that they lead", async () => {
  const texts = eventTexts(500);
  await server().seedList(DLQ, texts);
  await using one = elect("a", { token: "same" });
  await using two = elect("b", { token: "same" });
  await Promise.all([one.start(), two.start()]);
  await waitUntilEmpty(server(), DLQ);
  await waitUntil(async () => (await one.moved()).replayed + (await two.moved()).replayed === 500, { what: "counted" });
  assert.deepEqual(
    (await readLists(server())).target.map((text) => text.slice(0, 12)).sort(),
    texts.map((text) => text.slice(0, 12)).sort(),
  );
  assert.deepEqual([roleOf(one), roleOf(two)], ["leader", "leader"]);
});
