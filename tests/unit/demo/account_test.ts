import { deepEqual, equal, ok } from "node:assert/strict";
import { addsUp, formatAccount, formatDifferences, type Found, takeAccount } from "../../../demo/account.ts";
import { type DeadLetter, type Fate, generateDeadLetters } from "../../../testkit/mutt/dead_letters.ts";
import { sealEnvelope } from "../../../src/message/envelope.ts";
import { readMessage } from "../../../src/message/read_message.ts";
import { stampDeath, stampReplay } from "../../../src/message/stamp.ts";
import type { DeadReason } from "../../../src/message/source_policy.ts";

const RECORD = { failures: 1, evidence: 0, sheds: 0, since: 1_764_000_000, cycle: 3, source: "alerter" };
const FAILED_AT = "2026-01-15T14:30:00.000Z";
const LETTERS = generateDeadLetters({ count: 50 });

/** What the service makes of a message that goes back. */
function replayed({ payload }: DeadLetter): Uint8Array {
  const message = readMessage(payload);
  ok(message.readable);
  return stampReplay(message, { record: RECORD, cut: ["_retry_count", "shedding_reason"] });
}

/** What the service makes of a message that dies. */
function buried({ payload }: DeadLetter, reason: DeadReason): Uint8Array {
  const message = readMessage(payload);
  const how = { record: RECORD, death: { reason, failedAt: FAILED_AT } };
  return message.readable ? stampDeath(message, how) : sealEnvelope(payload, how);
}

/** Everything where it belongs. */
function foundWell(): Found & { delivered: Uint8Array[]; dead: Uint8Array[]; waiting: Uint8Array[] } {
  const isDelivered = ({ fate }: DeadLetter) => fate === "delivered";
  return {
    delivered: LETTERS.filter(isDelivered).map(replayed),
    discarded: [],
    stuck: [],
    dead: LETTERS.filter((letter) => !isDelivered(letter)).map((letter) => buried(letter, letter.fate as DeadReason)),
    waiting: [],
  };
}

const count = (...fates: Fate[]) => LETTERS.filter(({ fate }) => fates.includes(fate)).length;

Deno.test("takeAccount: adds up where everything is where it belongs, stamps undone and envelopes opened", () => {
  const account = takeAccount(LETTERS, foundWell());
  ok(addsUp(account), formatDifferences(account).join("\n"));
  equal(
    formatAccount(account),
    `50 in: ${count("delivered")} replayed, ${count("poison")} poison, ${count("malformed")} malformed, ` +
      `${count("unreadable")} unreadable = 50. 0 lost, 0 doubled.`,
  );
});

Deno.test("takeAccount: counts what is still waiting, wherever it is to end", () => {
  const found = foundWell();
  const account = takeAccount(LETTERS, { ...found, dead: [], waiting: found.dead });
  ok(addsUp(account));
  equal(account.places.get("still waiting"), found.dead.length);
});

Deno.test("takeAccount: sees a lost message and a doubled one", () => {
  const found = foundWell();
  const [first, second, ...others] = found.delivered as [Uint8Array, Uint8Array, ...Uint8Array[]];
  const account = takeAccount(LETTERS, { ...found, delivered: [first, first, ...others] });
  ok(!addsUp(account) && second.length > 0);
  equal(account.lost.length, 1);
  deepEqual(account.surplus, ["replayed"]);
  ok(formatAccount(account).endsWith("= 50. 1 lost, 1 doubled."));
});

Deno.test("takeAccount: sees a single changed byte", () => {
  const found = foundWell();
  found.delivered[0] = found.delivered[0]!.with(20, found.delivered[0]![20]! ^ 1);
  ok(!addsUp(takeAccount(LETTERS, found)));
});

Deno.test("takeAccount: sees a healthy message in the dead list, and one that the consumer threw away", () => {
  const found = foundWell();
  const healthy = LETTERS.find(({ fate }) => fate === "delivered") as DeadLetter;
  const [first, ...others] = found.delivered as [Uint8Array, ...Uint8Array[]];
  deepEqual(
    takeAccount(LETTERS, { ...found, delivered: others, dead: [...found.dead, buried(healthy, "poison")] }).misplaced,
    [{ letter: healthy, place: "poison" }],
  );
  equal(takeAccount(LETTERS, { ...found, delivered: others, discarded: [first] }).misplaced.length, 1);
});

Deno.test("takeAccount: byte-equal messages count each for itself", () => {
  const letter = LETTERS[0] as DeadLetter;
  const found = { delivered: [], discarded: [], stuck: [], dead: [], waiting: [letter.payload, letter.payload] };
  ok(addsUp(takeAccount([letter, letter], found)));
  equal(takeAccount([letter, letter, letter], found).lost.length, 1);
});

Deno.test("formatDifferences: shows nothing out of a message, and at most twenty lines", () => {
  const lines = formatDifferences(
    takeAccount(LETTERS, { delivered: [], discarded: [], stuck: [], dead: [], waiting: [] }),
  );
  equal(lines.length, 21);
  equal(lines.at(-1), "and 30 more");
  ok(lines.slice(0, 20).every((line) => /^lost: a message of kind [a-z0-9_]+, \d+ bytes$/.test(line)));
});
