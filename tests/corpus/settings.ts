/** Hostile values of variables that are kept, and hostile `.env` files. Where a secret is in one, it is the word `hidden`. */
import type { Corpus } from "../../testkit/corpus.ts";

/** The variable. */
interface Variable {
  readonly variable: string;
  readonly text: string;
}

const text = (variable: string, value: string): Variable => ({ variable, text: value });

/** `taken`: a setting differs from its default. `refused`: a problem names the variable. `unset`: as if it were not there. */
export type SettingOutcome = "taken" | "refused" | "unset";

/** Variables in the environment. */
export const SETTINGS: Corpus<SettingOutcome, Variable> = [
  {
    name: "a password with a #",
    why: "found: it named another host",
    wanted: "refused",
    ...text("REDIS_URL", "redis://me:12#hidden@host:6379"),
  },
  {
    name: "a URL with a line feed",
    why: "found: URL drops it in silence",
    wanted: "refused",
    ...text("REDIS_URL", "redis://:hidden@ho\nst"),
  },
  {
    name: "a URL with a tab",
    why: "found: URL drops it in silence",
    wanted: "refused",
    ...text("REDIS_URL", "redis://:hidden@ho\tst"),
  },
  {
    name: "a URL with NUL",
    why: "C would cut there",
    wanted: "refused",
    ...text("REDIS_URL", "redis://:hidden@host\u0000.example"),
  },
  {
    name: "a URL with port 0",
    why: "found: no server listens there",
    wanted: "refused",
    ...text("REDIS_URL", "redis://:hidden@host:0"),
  },
  {
    name: "a URL with database 10^20",
    why: "found: beyond REDIS_DB's range",
    wanted: "refused",
    ...text("REDIS_URL", `redis://:hidden@host/1${"0".repeat(20)}`),
  },
  {
    name: "a URL with half an escape",
    why: "no character",
    wanted: "refused",
    ...text("REDIS_URL", "redis://:hidden%e4%@host"),
  },
  {
    name: "a URL with a lone surrogate escaped",
    why: "no UTF-8",
    wanted: "refused",
    ...text("REDIS_URL", "redis://:hidden%ed%a0%80@host"),
  },
  {
    name: "a URL with options",
    why: "the client would take them",
    wanted: "refused",
    ...text("REDIS_URL", "redis://:hidden@host?tls=false"),
  },
  {
    name: "a URL with everything escaped",
    why: "a password may hold anything",
    wanted: "taken",
    ...text("REDIS_URL", "redis://:hidden%0a%00%23%40%2f@host"),
  },
  {
    name: "Sentinels without end",
    why: "one problem",
    wanted: "refused",
    ...text("REDIS_SENTINELS", "a:1,".repeat(2_000)),
  },
  {
    name: "a webhook with a line feed",
    why: "found: URL drops it in silence",
    wanted: "refused",
    ...text("MOOG_WEBHOOK_URL", "http://me:hidden@moog\n.example/"),
  },
  {
    name: "a webhook that is script",
    why: "no http",
    wanted: "refused",
    ...text("MOOG_WEBHOOK_URL", "javascript:alert('hidden@')"),
  },
  {
    name: "a key with CR LF",
    why: "would be a header of its own",
    wanted: "refused",
    ...text("MOOG_API_KEY", "hidden\r\nX-Forged: 1"),
  },
  { name: "a key with NUL", why: "no header", wanted: "refused", ...text("MOOG_API_KEY", "hidden\u0000") },
  {
    name: "a path with NUL",
    why: "C would cut there",
    wanted: "refused",
    ...text("REMEDIATION_SOURCES_PATH", "/etc/passwd\u0000.json"),
  },
  {
    name: "a list's name with a line feed",
    why: "a slip, and the list would look empty",
    wanted: "refused",
    ...text("ALERTER_DLQ_NAME", "mutt:dlq\n:alerter"),
  },
  {
    name: "a host that is a command",
    why: "nothing runs it, but it is no host",
    wanted: "refused",
    ...text("REDIS_HOST", "$(reboot)"),
  },
  {
    name: "a host of colons",
    why: "found: its pattern took time by the square",
    wanted: "refused",
    ...text("REDIS_HOST", `${":".repeat(8_000)}!`),
  },
  {
    name: "white space before nothing",
    why: "found: its pattern took time by the square",
    wanted: "refused",
    ...text("REMEDIATION_INTERVAL", `${" ".repeat(8_000)}x`),
  },
  { name: "white space", why: "counts as unset", wanted: "unset", ...text("REMEDIATION_INTERVAL", " \t\r\n") },
  {
    name: "a comment",
    why: "systemd and Docker leave it there",
    wanted: "unset",
    ...text("REMEDIATION_INTERVAL", "# 600"),
  },
  {
    name: "a number in quotes, with a comment",
    why: "systemd and Docker leave them there",
    wanted: "taken",
    ...text("REMEDIATION_INTERVAL", '"600" # ten minutes'),
  },
  { name: "Arabic digits", why: "\\d takes ASCII alone", wanted: "refused", ...text("REMEDIATION_INTERVAL", "٦٠٠") },
  {
    name: "a number in hexadecimal",
    why: "Number() would take it",
    wanted: "refused",
    ...text("REMEDIATION_INTERVAL", "0x10"),
  },
  {
    name: "a number with an exponent",
    why: "Number() would take it",
    wanted: "refused",
    ...text("REMEDIATION_INTERVAL", "1e2"),
  },
  {
    name: "a number of 5,000 digits",
    why: "is Infinity",
    wanted: "refused",
    ...text("REMEDIATION_INTERVAL", "9".repeat(5_000)),
  },
  { name: "a number below 0", why: "out of range", wanted: "refused", ...text("REMEDIATION_BATCH_SIZE", "-1") },
  {
    name: "a choice that every object has",
    why: "choices are no properties",
    wanted: "refused",
    ...text("LOG_LEVEL", "__proto__"),
  },
  { name: "a list of nothing", why: "commas alone", wanted: "refused", ...text("REMEDIATION_SOURCES", ",,,") },
  {
    name: "forged log lines",
    why: "what a problem shows is quoted",
    wanted: "refused",
    ...text("LOG_LEVEL", 'INFO\r\n{"level": "CRITICAL"}\u2028\u009b31m'),
  },
  {
    name: "a value of 100 MB",
    why: "found: nothing bounded it",
    wanted: "refused",
    ...text("LOG_LEVEL", "x".repeat(100_000_000)),
  },
];

/** A `.env` file. */
interface DotEnv {
  readonly text: string;
}

/** Files, and the variables of ours that they hold. */
export const DOT_ENVS: Corpus<Readonly<Record<string, string>>, DotEnv> = [
  { name: "nothing", why: "an empty file", wanted: {}, text: "" },
  {
    name: "Windows",
    why: "a byte order mark and CR LF",
    wanted: { REDIS_DB: "7", LOG_LEVEL: "INFO" },
    text: "\ufeffREDIS_DB=7\r\nLOG_LEVEL=INFO\r\n",
  },
  {
    name: "a Mac of 1999",
    why: "CR alone",
    wanted: { REDIS_DB: "7", LOG_LEVEL: "INFO" },
    text: "REDIS_DB=7\rLOG_LEVEL=INFO\r",
  },
  {
    name: "__proto__ and constructor",
    why: "names like any other",
    wanted: { REDIS_DB: "7" },
    text: "__proto__=x\nconstructor=y\nREDIS_DB=7",
  },
  {
    name: "a quote that is not closed",
    why: "must not swallow what follows",
    wanted: { REDIS_DB: "7" },
    text: "NOT_OURS='x\nREDIS_DB=7\n",
  },
  { name: "NUL", why: "no end of anything", wanted: { REDIS_DB: "7" }, text: "NOT_OURS=a\u0000b\nREDIS_DB=7" },
  {
    name: "100,000 blank lines",
    why: "found: time by the square",
    wanted: { REDIS_DB: "7" },
    text: `${"\n".repeat(100_000)}REDIS_DB=7`,
  },
  {
    name: "100,000 lines of blanks",
    why: "found: time by the square",
    wanted: { REDIS_DB: "7" },
    text: `${" \t\r\n".repeat(100_000)}REDIS_DB=7`,
  },
  {
    name: "a megabyte in quotes",
    why: "found: at ten, the library's pattern overflows the stack",
    wanted: { REDIS_DB: "7" },
    text: `REDIS_DB=7\nNOT_OURS='${"x".repeat(1_000_000)}'`,
  },
  {
    name: "another name's value",
    why: "nothing is put in for it",
    wanted: { REDIS_DB: "${HOME}" },
    text: "REDIS_DB=${HOME}",
  },
];
