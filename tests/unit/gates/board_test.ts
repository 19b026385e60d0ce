import assert from "node:assert/strict";
import { GateBoard } from "../../../src/gates/board.ts";
import type { Outage } from "../../../src/cycle/outages.ts";
import type { Gate, GateAnswer, GateName } from "../../../src/gates/gate.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

const OPEN: GateAnswer = { open: true, reason: "alive", detail: "it is fine" };
const CLOSED: GateAnswer = { open: false, reason: "gone", detail: "it is broken (SOME_VARIABLE)", retryInMs: 500 };

function setup(answers: Partial<Record<GateName, () => GateAnswer>>) {
  const clock = new TestClock();
  const { log, lines } = recordLog();
  const gates = Object.entries(answers).map(([name, ask]) => ({ name: name as GateName, ask }) satisfies Gate);
  const opened: string[] = [];
  const onAnswer = (gate: GateName, open: boolean) => void opened.push(`${gate}=${open}`);
  return { clock, lines, opened, board: new GateBoard(gates, { clock, log, source: "alerter", onAnswer }) };
}

Deno.test("GateBoard: shows every gate when several are closed, none hiding another", async () => {
  const { board, opened } = setup({ enabled: () => OPEN, redis: () => CLOSED, consumer: () => CLOSED });
  const reading = await board.ask();
  assert.deepEqual(reading.statuses.map(({ name, open }) => [name, open]), [["enabled", true], ["redis", false], [
    "consumer",
    false,
  ]]);
  assert.deepEqual(reading.closed.map(({ name }) => name), ["redis", "consumer"]);
  assert.deepEqual(opened, ["enabled=true", "redis=false", "consumer=false"]);
});

Deno.test("GateBoard: gives the narrowest room and who set it", async () => {
  const { board } = setup({
    depth: () => ({ ...OPEN, room: 900 }),
    pace: () => ({ ...OPEN, room: 40 }),
    redis: () => OPEN,
  });
  const reading = await board.ask();
  assert.deepEqual([reading.room, reading.roomBy], [40, "pace"]);
  assert.equal((await setup({ redis: () => OPEN }).board.ask()).room, Infinity);
});

Deno.test("GateBoard: says which gate lets a canary through, by its answer and not by its words", async () => {
  const canary: GateAnswer = { ...OPEN, room: 1, canary: true };
  const { board } = setup({ breaker: () => ({ ...OPEN, reason: "canary" }), consumer: () => canary });
  assert.equal((await board.ask()).canary?.name, "consumer");
  assert.equal((await setup({ breaker: () => ({ ...OPEN, reason: "canary" }) }).board.ask()).canary, null);
});

Deno.test("GateBoard: keeps since when a gate is as it is, and when it is asked next", async () => {
  let answer = CLOSED;
  const { board, clock } = setup({ consumer: () => answer });
  const startMs = clock.nowMs();
  await board.ask();
  await clock.advance(1_000);
  assert.deepEqual((await board.ask()).closed.map(({ sinceMs, nextMs }) => [sinceMs, nextMs]), [[
    startMs,
    startMs + 1_500,
  ]]);
  answer = { ...CLOSED, reason: "never_seen" };
  assert.equal((await board.ask()).closed[0]?.sinceMs, startMs, "closed all the while");
});

Deno.test("GateBoard: tells a change once, that it was never open, and the length at the end", async () => {
  let answer = CLOSED;
  const { board, clock, lines } = setup({ consumer: () => answer });
  for (let i = 0; i < 3; i++) await board.ask();
  await clock.advance(12_000);
  answer = OPEN;
  for (let i = 0; i < 3; i++) await board.ask();
  assert.deepEqual(lines.map(({ level, event }) => [level, event]), [["WARNING", "gate_closed"], [
    "INFO",
    "gate_open",
  ]]);
  assert.match(lines[0]!.message, /SOME_VARIABLE.*not been open since the start/);
  assert.equal(lines[1]!.fields?.closed_seconds, 12);
});

Deno.test("GateBoard: says nothing of a gate that closes for a moment while messages flow", async () => {
  for (const [name, reason] of [["pace", "no_room"], ["depth", "over_limit"], ["consumer", "unknown"]] as const) {
    let answer: GateAnswer = { ...CLOSED, reason };
    const { board, clock, lines } = setup({ [name]: () => answer });
    await board.ask();
    await clock.advance(4_000);
    await board.ask();
    assert.deepEqual(lines, [], name);
    await clock.advance(1_000);
    await board.ask();
    answer = OPEN;
    await board.ask();
    assert.deepEqual(lines.map(({ event }) => event), ["gate_closed", "gate_open"], name);
  }
});

Deno.test("GateBoard: closes a gate that cannot be asked", async () => {
  const { board } = setup({
    consumer: () => {
      throw new TypeError("planted");
    },
  });
  const { closed: [gate] } = await board.ask();
  assert.deepEqual([gate?.name, gate?.reason], ["consumer", "error"]);
});

Deno.test("GateBoard: does not tell again, and counts the whole time, when a closed gate finds out anew", async () => {
  let answer = CLOSED;
  const { board, clock, lines } = setup({ consumer: () => answer });
  for (const reason of ["gone", "unknown", "gone", "unknown"] as const) {
    answer = { ...CLOSED, reason };
    await board.ask();
    await clock.advance(10_000);
  }
  answer = OPEN;
  await board.ask();
  assert.deepEqual(lines.map(({ event }) => event), ["gate_closed", "gate_open"]);
  assert.deepEqual([lines[1]!.fields?.reason, lines[1]!.fields?.closed_seconds], ["gone", 40]);
});

Deno.test("GateBoard: tells of a gate that opens for moments only that it does, once, and again when it rests", async () => {
  let answer = CLOSED;
  const { board, clock, lines } = setup({ pace: () => answer });
  const at = async (open: boolean, seconds: number) => {
    answer = open ? OPEN : CLOSED;
    for (let i = 0; i < seconds; i++) {
      await board.ask();
      await clock.advance(1_000);
    }
  };
  for (let i = 0; i < 50; i++) {
    await at(false, 8);
    await at(true, 1);
  }
  assert.deepEqual(lines.map(({ event }) => event), ["gate_closed", "gate_open", "gate_closed"]);
  assert.match(lines[2]!.message, /it is broken .*; it opens only briefly, and repeats are not logged$/);
  await at(true, 10);
  assert.equal(lines.length, 4);
  assert.match(
    lines[3]!.message,
    /^Remediation: gate pace is open after 449 s, with 49 brief openings$/,
  );
  await at(false, 10);
  assert.deepEqual(lines.slice(4).map(({ event }) => event), ["gate_closed"], "it had rested");
  await at(true, 10);
  assert.equal(lines.at(-1)?.fields?.closed_seconds, 10);
});

Deno.test("GateBoard: tells each reason once while a gate stays closed", async () => {
  let answer = CLOSED;
  const { board, clock, lines } = setup({ redis: () => answer });
  for (let i = 0; i < 50; i++) {
    answer = { ...CLOSED, reason: i % 2 === 0 ? "connection" : "timeout" };
    await board.ask();
    await clock.advance(1_000);
  }
  assert.deepEqual(lines.map(({ fields }) => fields?.reason), ["connection", "timeout"]);
  answer = OPEN;
  await board.ask();
  assert.equal(lines.at(-1)?.fields?.closed_seconds, 50);
});

Deno.test("GateBoard: remembers the last outage of the systems behind, not what is unknown", async () => {
  let answer = OPEN;
  const { board, clock } = setup({ downstream: () => answer, pace: () => answer });
  const startMs = clock.nowMs();
  await board.ask();
  assert.deepEqual(board.outagesSince(0), []);
  answer = { ...CLOSED, reason: "unknown" };
  await board.ask();
  assert.deepEqual(board.outagesSince(0), []);
  await clock.advance(10_000);
  answer = CLOSED;
  await board.ask();
  await clock.advance(50_000);
  await board.ask();
  await clock.advance(10_000);
  answer = OPEN;
  await board.ask();
  assert.deepEqual(board.outagesSince(startMs + 60_000), [{
    ...{ gate: "downstream", reason: "gone", fromMs: startMs, untilMs: startMs + 70_000, isOver: true },
    excusesFailures: true,
  }]);
  assert.deepEqual(board.outagesSince(startMs + 70_000), [], "over before that");
});

Deno.test("GateBoard: says of an outage whether it excuses failures: a full queue and a window do not", async () => {
  const { board, clock } = setup({
    breaker: () => CLOSED,
    depth: () => CLOSED,
    window: () => CLOSED,
    pause: () => CLOSED,
    pace: () => CLOSED,
    redis: () => CLOSED,
  });
  await board.ask();
  await clock.advance(1_000);
  await board.ask();
  const told = board.outagesSince(0).map(({ gate, excusesFailures }) => [gate, excusesFailures]);
  assert.deepEqual(told, [["breaker", true], ["depth", false], ["window", false]]);
});

Deno.test("GateBoard: counts as an outage what was closed when the process began, longest first", async () => {
  let answer = CLOSED;
  const { board, clock } = setup({ consumer: () => CLOSED, depth: () => answer });
  await board.ask();
  await clock.advance(30_000);
  await board.ask();
  answer = OPEN;
  await clock.advance(30_000);
  await board.ask();
  const lengths = board.outagesSince(0).map(({ gate, fromMs, untilMs }) => [gate, untilMs - fromMs]);
  assert.deepEqual(lengths, [["consumer", 60_000], ["depth", 60_000]]);
});

Deno.test("GateBoard: what a drill simulates is no outage, and ends one that is real", async () => {
  let answer = OPEN;
  const drill: GateAnswer = { open: false, reason: "drill", detail: "a drill holds it" };
  const { board, clock } = setup({ consumer: () => answer });
  const at = async (next: GateAnswer) => {
    answer = next;
    await board.ask();
    await clock.advance(60_000);
  };
  for (const next of [OPEN, drill, drill, OPEN]) await at(next);
  assert.deepEqual(board.outagesSince(0), []);
  for (const next of [CLOSED, drill, OPEN]) await at(next);
  const [{ fromMs, untilMs, isOver }, ...others] = board.outagesSince(0) as [Outage, ...Outage[]];
  assert.deepEqual([untilMs - fromMs, isOver, others.length], [60_000, true, 0]);
});
