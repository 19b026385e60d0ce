/** Values that this service reads out of Redis, where anybody may have put anything. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { BRAKE_REASONS } from "../../src/cycle/brake.ts";
import { judgeBreaker, rememberBreaker } from "../../src/mutt/breaker.ts";
import { formatGrants, parseGrants } from "../../src/mutt/pace.ts";
import { formatTallies, MAX_TALLIES, parseTallies, weigh } from "../../src/cycle/evidence.ts";
import { probeKey, SharedProbe } from "../../src/mutt/shared_probe.ts";
import { BREAKER_STATE_KEY } from "../../src/mutt/breaker_gate.ts";
import { paceLedgerKey } from "../../src/redis/keys.ts";
import { PaceLedgerStore } from "../../src/mutt/pace_ledger_store.ts";
import { brakeFields, NEW_CYCLE_STATE, parseCycleState } from "../../src/cycle/cycle_state.ts";
import { createEngine, DEAD, DLQ, eventTexts, idOf, readLists, STATE, TARGET } from "../../testkit/engine.ts";
import { HOSTILE_NAMES, HOSTILE_TEXT } from "../../testkit/hostile_json.ts";
import { isLongForm, propertyRuns } from "../../testkit/payloads.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { PATIENT_MS } from "../../testkit/wait.ts";

const redis = shareRedis();

const DIGITS = fc.oneof(
  fc.nat().map(String),
  fc.constantFrom(
    "0",
    "1",
    "999999999999999",
    "1000000000000000",
    "-1",
    "1e3",
    "0x1",
    "1.5",
    "nan",
    "inf",
    " 1",
    "1\n",
  ),
);
const RANGES = fc.array(fc.oneof(DIGITS, fc.tuple(DIGITS, DIGITS).map((pair) => pair.join("-"))), { maxLength: 6 })
  .map((parts) => parts.join());
const TALLIES = fc.array(
  fc.tuple(fc.array(DIGITS, { minLength: 9, maxLength: 9 }), fc.constantFrom("a", "at", "n", "ut", "", "x"))
    .map(([numbers, says]) => `${numbers.join(":")}:${says}`),
  { maxLength: 70 },
).map((parts) => parts.join());
const TEXT = fc.oneof(DIGITS, RANGES, TALLIES, HOSTILE_TEXT);
const FIELD = fc.oneof(
  fc.constantFrom("seq", "cycle", "remaining", "startedAtMs", "depthAtStart", "replayed", "dead", "newestBytes"),
  fc.constantFrom("newestDigest", "boundBy", "suspect", "distance", "wait", "allowance", "brakeReason", "spentUntilMs"),
  fc.constantFrom("tallies", "firsts", "movedAtMs", "scannedDepth", "lagMs", "stampsDropped", "outages"),
  fc.constantFrom("breakerCanaryAtMs", ...HOSTILE_NAMES),
);
const FIELDS = fc.array(fc.tuple(FIELD, TEXT), { maxLength: 24 });

Deno.test("parseCycleState: believes only what this service may have written, whatever the fields", () => {
  fc.assert(
    fc.property(FIELDS, (fields) => {
      const record = parseCycleState(fields.flat());
      const { brake, tallies, sequence, newestBytes, ...rest } = record;
      assert.match(sequence, /^\d{1,15}$/);
      assert.deepEqual(Object.keys(record), Object.keys(NEW_CYCLE_STATE));
      const numbers = Object.values(rest).filter((value) => typeof value === "number");
      const counts = [...numbers, newestBytes + 1, brake.wait, brake.distance - 1, (brake.allowance ?? 1) - 1];
      assert.ok(counts.every((count) => Number.isSafeInteger(count) && count >= 0), JSON.stringify(record));
      assert.ok(BRAKE_REASONS.includes(brake.reason));
      assert.ok(tallies.length <= MAX_TALLIES);
      for (const tally of tallies) {
        assert.ok(tally.cycle <= record.cycle);
        for (const isFirst of [true, false]) assert.ok(weigh(tally, { isFirst }) >= 0);
      }
      // What it writes it reads again.
      assert.deepEqual(parseCycleState(Object.entries(brakeFields(brake)).flat()).brake, brake);
      assert.deepEqual(parseTallies(formatTallies(tallies), record.cycle), tallies);
    }),
    propertyRuns(3_000),
  );
});

Deno.test("parseGrants: keeps whole numbers alone, and reads what it writes", () => {
  fc.assert(
    fc.property(fc.oneof(TEXT, RANGES.map((text) => text.replaceAll("-", ":"))), (text) => {
      const grants = parseGrants(text);
      assert.ok(grants.flat().every((value) => Number.isSafeInteger(value) && value >= 0));
      assert.deepEqual(parseGrants(formatGrants(grants)), grants);
    }),
    propertyRuns(2_000),
  );
});

Deno.test("judgeBreaker: waits no longer than its time-out, and shuts for ever on no text at all", () => {
  const state = fc.oneof(fc.constantFrom(null, "", "CLOSED", "OPEN", "HALF_OPEN", "closed"), HOSTILE_TEXT);
  const openTime = fc.oneof(
    fc.constant(null),
    TEXT,
    fc.double().map(String),
    fc.constantFrom("1e999", "-0", "0x7fffffff"),
  );
  fc.assert(
    fc.property(
      state,
      openTime,
      fc.nat(10_000_000),
      fc.integer({ min: 1, max: 3_600_000 }),
      (word, at, ageMs, timeoutMs) => {
        const nowMs = 1_800_000_000_000, reading = { state: word, openTime: at };
        const memory = rememberBreaker(null, { reading, nowMs: nowMs - ageMs });
        const verdict = judgeBreaker(memory, { nowMs, timeoutMs });
        if (verdict.kind === "shut") assert.ok(verdict.retryInMs > 0 && verdict.retryInMs <= timeoutMs);
        // An abandoned one stays in nobody's way, however it reads.
        const later = judgeBreaker(memory, { nowMs: nowMs + 20 * timeoutMs, timeoutMs });
        assert.notEqual(later.kind, "shut");
      },
    ),
    propertyRuns(3_000),
  );
});

/** Bytes, not text: what is no UTF-8 comes too. */
const VALUE = fc.oneof(
  TEXT.map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
);

Deno.test("SharedProbe, PaceLedgerStore: read any hash as a result or as none, and never reject", async () => {
  const client = redis().client();
  const url = new URL("http://moog.example/");
  const probe = probeKey({ url, apiKey: undefined, caCert: undefined, proxy: undefined });
  const probes = new SharedProbe({ redis: client, cacheMs: 60_000, leaseMs: 1_000 });
  const ledgers = new PaceLedgerStore(client, "rate");
  const name = fc.constantFrom(
    "outcome",
    "atMs",
    "claim",
    "claimedUntilMs",
    "version",
    "grants",
    "livePeak",
    "livePeakAtMs",
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(name, VALUE), { minLength: 1, maxLength: 8 }), async (fields) => {
      const keys = [probe, paceLedgerKey("rate")];
      await client.del(...keys);
      for (const key of keys) await client.hset(key, ...fields.flat());
      const claim = await probes.claim(probe);
      if (claim.kind === "fresh") assert.ok(claim.ageMs >= 0 && claim.ageMs < 60_000);
      const { version, ledger } = await ledgers.read();
      assert.match(version, /^\d{1,15}$/);
      assert.ok([ledger.livePeak, ledger.livePeakAtMs].every((count) => Number.isSafeInteger(count) && count >= 0));
    }),
    propertyRuns(150),
  );
});

/** Each run takes cycles of a real engine over a real server. */
const ENGINE_RUNS = isLongForm() ? 200 : 12;

Deno.test("source alerter: loses and doubles nothing whatever its record holds", async () => {
  const client = redis().client();
  const ids = Array.from({ length: 5 }, (_, at) => String(at));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(FIELD, VALUE), { maxLength: 12 }), VALUE, async (fields, breaker) => {
      await client.del(DLQ, TARGET, DEAD, STATE, BREAKER_STATE_KEY);
      await redis().seedList(DLQ, eventTexts(5));
      if (fields.length > 0) await client.hset(STATE, ...fields.flat());
      await client.set(BREAKER_STATE_KEY, breaker);
      await using engine = createEngine(redis(), { commandTimeoutMs: PATIENT_MS });
      for (let turn = 0; turn < 4; turn++) await engine.turn({ begin: "now" });
      const { dlq, target, dead } = await readLists(redis());
      assert.deepEqual([...dlq, ...target, ...dead].map(idOf).toSorted(), ids);
      assert.deepEqual(await engine.errors(), {});
    }),
    { ...propertyRuns(1), numRuns: ENGINE_RUNS },
  );
});
