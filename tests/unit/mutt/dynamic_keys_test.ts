import assert from "node:assert/strict";
import { DYNAMIC_KEYS, LiveSettings, parseDynamic, parseMuttShared } from "../../../src/mutt/dynamic_keys.ts";
import { DEFAULT_SETTINGS } from "../../../src/config/fields.ts";

// What the original's tests 19, 21 and 22 (contract §10) have in the environment.
const STATIC = Object.freeze({ ...DEFAULT_SETTINGS, intervalMs: 600_000, batchSize: 20, maxPoisonRetries: 5 });

// Tests 19, 21 and 22 of the original's.
Deno.test("LiveSettings: gives the environment's interval, batch size and retries when no dynamic key is set", () => {
  const { intervalMs, batchSize, maxPoisonRetries } = new LiveSettings(STATIC).current();
  assert.deepEqual([intervalMs, batchSize, maxPoisonRetries], [600_000, 20, 5]);
});

// Test 20 of the original's.
Deno.test("LiveSettings: gives the dynamic interval when the key remediation_interval is set", () => {
  const live = new LiveSettings(STATIC);
  assert.deepEqual(live.apply("remediation_interval", "300"), { result: "applied" });
  assert.equal(live.current().intervalMs, 300_000);
});

Deno.test("DYNAMIC_KEYS: are MUTT's four, and the one of its objectives", () => {
  assert.deepEqual([...DYNAMIC_KEYS].sort(), [
    "max_poison_retries",
    "remediation_batch_size",
    "remediation_enabled",
    "remediation_interval",
    "slo_window_hours",
  ]);
});

const GOOD: readonly (readonly [key: string, text: string, value: unknown])[] = [
  ["remediation_enabled", "True", true],
  ["remediation_enabled", "False", false],
  ["remediation_enabled", " true\n", true],
  ["remediation_interval", "1", 1_000],
  ["remediation_interval", " 86400 ", 86_400_000],
  ["remediation_batch_size", "0", 0],
  ["remediation_batch_size", "1000000", 1_000_000],
  ["max_poison_retries", "1000", 1_000],
  ["slo_window_hours", "48", 172_800_000],
  ["slo_window_hours", "0.5", 1_800_000],
];

for (const [key, text, value] of GOOD) {
  Deno.test(`parseDynamic: takes ${key} ${JSON.stringify(text)}`, () => {
    assert.deepEqual(parseDynamic(key, text), { ok: true, value });
  });
}

const BAD: readonly (readonly [key: string, text: string])[] = [
  ["remediation_enabled", "maybe"],
  ["remediation_interval", "0"],
  ["remediation_interval", "86401"],
  ["remediation_interval", "300.0"],
  ["remediation_interval", "300 # five minutes"],
  ["remediation_batch_size", "-1"],
  ["remediation_batch_size", "1000001"],
  ["max_poison_retries", "0"],
  ["slo_window_hours", "0"],
  ["slo_window_hours", "721"],
  ["slo_window_hours", ".5"],
  ["slo_window_hours", "1e1"],
  ["max_poison_retries", "1001"],
  ["max_poison_retries", "\ufffd"],
  ["redis_host", "evil"],
  ["__proto__", "1"],
];

for (const [key, text] of BAD) {
  Deno.test(`parseDynamic: refuses ${key} ${JSON.stringify(text)}`, () => {
    const parsed = parseDynamic(key, text);
    assert.ok(!parsed.ok && parsed.problem.startsWith(`${key} `), JSON.stringify(parsed));
  });
}

Deno.test("parseMuttShared: takes numbers within bounds only", () => {
  assert.deepEqual(parseMuttShared("moog_rate_limit", "0"), { ok: true, value: 0 });
  assert.deepEqual(parseMuttShared("moog_rate_period", " 60 "), { ok: true, value: 60_000 });
  for (
    const [key, text] of [["moog_rate_limit", "-1"], ["moog_rate_period", "0"], ["alerter_queue_warn_threshold", "x"]]
  ) {
    assert.equal(parseMuttShared(key!, text!).ok, false, key);
  }
});

Deno.test("LiveSettings: keeps the last good value when a bad one comes, and tells it once", () => {
  const live = new LiveSettings(STATIC);
  live.apply("remediation_interval", "60");
  const problem = 'remediation_interval "abc" is not a whole number from 1 to 86400 (seconds)';
  assert.deepEqual(live.apply("remediation_interval", "abc"), { result: "rejected", problem });
  assert.deepEqual(live.apply("remediation_interval", "abc"), { result: "unchanged" });
  assert.equal(live.apply("remediation_interval", "0").result, "rejected");
  assert.equal(live.current().intervalMs, 60_000);
  assert.deepEqual(live.apply("remediation_interval", "60"), { result: "applied" }, "the rejection is over");
  assert.deepEqual(live.apply("remediation_interval", "60"), { result: "unchanged" });
  assert.equal(live.apply("remediation_interval", "abc").result, "rejected");
});

Deno.test("LiveSettings: a bad key that is removed ends its rejection, though the value was the static one all the time", () => {
  for (const key of ["remediation_interval", "moog_rate_limit"]) {
    const live = new LiveSettings(STATIC), seen: unknown[] = [];
    live.onChange(() => seen.push(key));
    assert.equal(live.apply(key, "abc").result, "rejected", key);
    assert.deepEqual(live.apply(key, null), { result: "applied" });
    assert.deepEqual(seen, [], "no value has changed");
  }
});

for (const text of [null, "", "  "]) {
  Deno.test(`LiveSettings: returns to the static value when the key becomes ${JSON.stringify(text)}`, () => {
    const live = new LiveSettings(STATIC);
    live.apply("remediation_interval", "60");
    live.apply("remediation_interval", "abc");
    assert.deepEqual(live.apply("remediation_interval", text), { result: "applied" });
    assert.deepEqual(live.apply("remediation_interval", text), { result: "unchanged" });
    assert.deepEqual(live.current(), STATIC);
  });
}

Deno.test("LiveSettings: tells listeners of changes only, until they leave", () => {
  const live = new LiveSettings(STATIC);
  const seen: unknown[] = [];
  const leave = live.onChange(() => seen.push([live.current().enabled, live.muttShared().moogRateLimit]));
  live.apply("remediation_enabled", "False");
  live.apply("remediation_enabled", "false");
  live.apply("remediation_enabled", "bad");
  live.apply("moog_rate_limit", "100");
  leave();
  live.apply("remediation_enabled", "True");
  assert.deepEqual(seen, [[false, null], [false, 100]]);
});

Deno.test("LiveSettings: holds MUTT's shared settings apart from the settings", () => {
  const live = new LiveSettings(STATIC);
  const none = { moogRateLimit: null, moogRatePeriodMs: null, alerterQueueWarnThreshold: null };
  assert.deepEqual(live.muttShared(), none);
  live.apply("moog_rate_limit", "100");
  live.apply("moog_rate_period", "60");
  live.apply("alerter_queue_warn_threshold", "500");
  live.apply("moog_rate_limit", "many");
  assert.deepEqual(live.muttShared(), {
    moogRateLimit: 100,
    moogRatePeriodMs: 60_000,
    alerterQueueWarnThreshold: 500,
  });
  assert.equal(live.current(), STATIC);
  live.apply("moog_rate_limit", null);
  assert.equal(live.muttShared().moogRateLimit, null);
});

Deno.test("LiveSettings: earlier snapshots do not change", () => {
  const live = new LiveSettings(STATIC);
  const before = live.current();
  live.apply("remediation_batch_size", "7");
  assert.equal(before.batchSize, 20);
  assert.ok(Object.isFrozen(live.current()));
});
