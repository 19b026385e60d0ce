/** What anybody may have put into Redis where this service reads: dynamic keys, its own records, the forwarder's breaker. */
import type { BreakerVerdict } from "../../src/mutt/breaker.ts";
import type { CycleState } from "../../src/cycle/cycle_state.ts";
import type { Corpus } from "../../testkit/corpus.ts";

/** A dynamic key and its text. */
interface Dynamic {
  readonly key: string;
  readonly text: string;
}

const dynamic = (key: string, text: string): Dynamic => ({ key, text });

/** Dynamic values, and what `LiveSettings.apply` says of them. */
export const DYNAMIC_VALUES: Corpus<"applied" | "rejected" | "unchanged", Dynamic> = [
  {
    name: "as it should be",
    why: "or the others prove nothing",
    wanted: "applied",
    ...dynamic("remediation_interval", "60"),
  },
  {
    name: "white space around it",
    why: "echo adds a line feed",
    wanted: "applied",
    ...dynamic("remediation_interval", " 60\r\n"),
  },
  { name: "nothing but white space", why: "not set", wanted: "unchanged", ...dynamic("remediation_interval", " \n") },
  {
    name: "100 MB of digits",
    why: "found: nothing bounded it",
    wanted: "rejected",
    ...dynamic("remediation_interval", "9".repeat(100_000_000)),
  },
  {
    name: "100 MB of white space",
    why: "found: nothing bounded it",
    wanted: "rejected",
    ...dynamic("remediation_interval", " ".repeat(100_000_000)),
  },
  {
    name: "1,024 bytes",
    why: "the longest that is looked at",
    wanted: "applied",
    ...dynamic("remediation_interval", "60".padStart(1_024)),
  },
  {
    name: "1,025 bytes",
    why: "one too many",
    wanted: "rejected",
    ...dynamic("remediation_interval", "60".padStart(1_025)),
  },
  { name: "NUL", why: "C would cut there", wanted: "rejected", ...dynamic("remediation_interval", "60\u0000") },
  {
    name: "bytes that are not UTF-8",
    why: "read as U+FFFD",
    wanted: "rejected",
    ...dynamic("remediation_interval", "60\ufffd"),
  },
  {
    name: "forged log lines",
    why: "what is told is quoted",
    wanted: "rejected",
    ...dynamic("remediation_enabled", 'true\r\n{"level": "CRITICAL"}\u2028'),
  },
  {
    name: "JSON",
    why: "MUTT's own keys hold bare words",
    wanted: "rejected",
    ...dynamic("remediation_enabled", '"true"'),
  },
  { name: "another setting's key", why: "only four are dynamic", wanted: "rejected", ...dynamic("redis_host", "evil") },
  { name: "__proto__", why: "no key of ours", wanted: "rejected", ...dynamic("__proto__", "1") },
  { name: "constructor", why: "no key of ours", wanted: "rejected", ...dynamic("constructor", "1") },
  { name: "Infinity", why: "no number of ours", wanted: "rejected", ...dynamic("moog_rate_limit", "Infinity") },
  {
    name: "a number with an exponent",
    why: "Number() would take it",
    wanted: "rejected",
    ...dynamic("moog_rate_limit", "1e3"),
  },
  { name: "-0", why: "no number of ours", wanted: "rejected", ...dynamic("moog_rate_limit", "-0") },
];

/** Fields of a source's record. */
interface Fields {
  readonly fields: readonly (readonly [name: string, value: string])[];
}

/** Records, and what of them is believed. */
export const RECORDS: Corpus<Partial<CycleState>, Fields> = [
  {
    name: "nothing",
    why: "a source that was never worked on",
    wanted: { sequence: "0", cycle: 0, remaining: 0 },
    fields: [],
  },
  {
    name: "a sequence of 16 digits",
    why: "would match no commit, for ever",
    wanted: { sequence: "0" },
    fields: [["seq", "1".repeat(16)]],
  },
  {
    name: "a sequence with a line feed",
    why: "$ before it matches for some",
    wanted: { sequence: "0" },
    fields: [["seq", "1\n"]],
  },
  {
    name: "numbers of a client",
    why: "Number() would take them",
    wanted: { cycle: 0, remaining: 0, replayed: 0, dead: 0 },
    fields: [["cycle", "1e3"], ["remaining", "0x10"], ["replayed", "-1"], ["dead", "Infinity"]],
  },
  { name: "Arabic digits", why: "\\d takes ASCII alone", wanted: { cycle: 0 }, fields: [["cycle", "٦"]] },
  {
    name: "__proto__ as a field",
    why: "a name like any other",
    wanted: { cycle: 3 },
    fields: [["__proto__", "9"], ["cycle", "3"]],
  },
  { name: "an unknown reason", why: "a closed set", wanted: {}, fields: [["brakeReason", "constructor"]] },
  {
    name: "a distance and an allowance of 0",
    why: "would stop the source for ever",
    wanted: { brake: { suspect: true, distance: 1, wait: 0, allowance: 1, reason: "returns" } },
    fields: [["suspect", "1"], ["distance", "0"], ["allowance", "0"], ["brakeReason", "returns"]],
  },
  {
    name: "a pause with texts that another client wrote",
    why: "would forge a line, or fill a page",
    wanted: { pause: { untilMs: 5, by: "ann b", reason: "x".repeat(200) } },
    fields: [["pausedUntilMs", "5"], ["pausedBy", "ann\u202e\nb"], ["pauseReason", "x".repeat(1_000)]],
  },
  {
    name: "a freeze with texts that another client wrote",
    why: "would forge a line, or fill a page",
    wanted: { freeze: { untilMs: 5, by: "ann b", reason: "x".repeat(200) }, pause: null },
    fields: [["frozenUntilMs", "5"], ["frozenBy", "ann\u202e\nb"], ["freezeReason", "x".repeat(1_000)]],
  },
  {
    name: "a pause without an end",
    why: "would never end",
    wanted: { pause: null },
    fields: [["pausedUntilMs", "inf"]],
  },
  {
    name: "tallies of cycles to come, and no tallies",
    why: "would weigh what has not happened",
    wanted: { tallies: [] },
    fields: [["cycle", "7"], ["tallies", "8:1:1:1:1:0:0:0:1:a,7:1:1,7:1:1:1:1:0:0:0:1:x,x,-,1e3"]],
  },
];

/** The breaker's two keys. */
interface Breaker {
  readonly state: string | null;
  readonly openTime: string | null;
}

/** Breakers, and what is made of them an hour after they opened at 1,000,000 s. */
export const BREAKERS: Corpus<BreakerVerdict["kind"], Breaker> = [
  { name: "none", why: "MUTT without one", wanted: "open_to_all", state: null, openTime: null },
  { name: "empty", why: "a missing key reads so", wanted: "open_to_all", state: "", openTime: "" },
  { name: "open", why: "just now", wanted: "shut", state: "OPEN", openTime: "1003500" },
  {
    name: "open, in small letters",
    why: "not what the forwarder writes: taken for open",
    wanted: "shut",
    state: "open",
    openTime: "1003500",
  },
  {
    name: "__proto__",
    why: "not what the forwarder writes: taken for open",
    wanted: "shut",
    state: "__proto__",
    openTime: "1003500",
  },
  {
    name: "closed with a NUL",
    why: "not what the forwarder writes: taken for open",
    wanted: "shut",
    state: "CLOSED\u0000",
    openTime: "1003500",
  },
  {
    name: "open since no number",
    why: "counts from when it was first seen",
    wanted: "shut",
    state: "OPEN",
    openTime: "\ufffd",
  },
  {
    name: "open since Infinity",
    why: "counts from when it was first seen",
    wanted: "shut",
    state: "OPEN",
    openTime: "Infinity",
  },
  { name: "open since NaN", why: "counts from when it was first seen", wanted: "shut", state: "OPEN", openTime: "NaN" },
  {
    name: "open since before 1970",
    why: "counts from when it was first seen",
    wanted: "shut",
    state: "OPEN",
    openTime: "-1e308",
  },
  { name: "open since tomorrow", why: "a clock that was set back", wanted: "shut", state: "OPEN", openTime: "1090000" },
  { name: "open for long", why: "its time-out has passed", wanted: "canary", state: "OPEN", openTime: "1000000" },
  { name: "half open", why: "one may go", wanted: "canary", state: "HALF_OPEN", openTime: "1003500" },
];
