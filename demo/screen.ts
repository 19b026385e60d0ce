/** What the demo prints: pure text. */
import { type Account, addsUp, formatAccount, formatDifferences, type Found, reasonOf } from "./account.ts";
import type { DeadLetter, MessageKind } from "../testkit/mutt/dead_letters.ts";
import type { Depths } from "./stage.ts";

/** A gate as the service's `/health` shows it. */
export interface GateView {
  readonly name: string;
  readonly open: boolean;
  readonly reason: string;
  readonly detail: string;
}

const KIND_WORDS: Readonly<Record<MessageKind, string>> = {
  exhausted: "given up by the alerter after 4 attempts",
  shed: "shed under load",
  healthy: "without any mark",
  big_integers: "with integers beyond 2^53",
  odd_numbers: "with 1.0, NaN, Infinity",
  equal_keys: "with a key twice",
  large: "of 1 MiB",
  poison: "poison: the alerter fails on them every time",
  malformed: "malformed: a required member missing or empty, or no object",
  not_json: "not JSON",
  bad_utf8: "not UTF-8",
};

/** What is about to happen. */
export function formatOpening(letters: readonly DeadLetter[], seed: number): string {
  const kinds = (Object.keys(KIND_WORDS) as MessageKind[]).map((kind) => ({
    kind,
    count: letters.filter((letter) => letter.kind === kind).length,
  }));
  return [
    "mutt-remediation at work: the real service on a Redis of its own. Moogsoft and the alerter are stand-ins.",
    "",
    `${letters.length} dead letters after an outage (seed ${seed}):`,
    ...kinds.filter(({ count }) => count > 0).map(({ kind, count }) =>
      `${String(count).padStart(6)} ${KIND_WORDS[kind]}`
    ),
    "",
  ].join("\n");
}

/** Where the service can be asked meanwhile. */
export function formatAddresses(services: readonly { name: string; health: number; metrics: number }[]): string {
  const lines = services.map(({ name, health, metrics }) =>
    `${services.length === 1 ? "The service" : name} runs: http://127.0.0.1:${health}/health  ` +
    `http://127.0.0.1:${metrics}/metrics\n`
  );
  return lines.join("");
}

/** Where to look meanwhile. */
export function formatConsole(link: string): string {
  return `Console, logged in once: ${link}\n`;
}

/** What to look at while incidents go on. */
export function formatStay({ link, key }: { link: string; key: string }): string {
  return [
    "mutt-remediation at work: the real service on a Redis of its own. Moogsoft and the alerter are stand-ins.",
    "Incidents go on until Ctrl-C. The hour before is made up, all else is real.",
    "",
    "Open the console (the link logs in once):",
    `  ${link}`,
    "Later, log in with this key:",
    `  ${key}`,
    "",
    "Try this:",
    "  Overview   what is stuck, why, since when, and when it will be drained",
    "  Messages   choose a group on the left, then Replay…: a plan shows exactly what will happen",
    "  Jobs       follow it, pause it, cancel it, undo it",
    "  Journal    everything that moved, and who did what",
    "",
  ].join("\n");
}

/** Head of the columns of {@link formatLine}. */
export const TABLE_HEAD = "     s   DLQ  ingest  delivered  dead  gates";

/** One line of the table; gates are `null` where the service did not answer. `leader`: who leads, where there are several. */
export function formatLine(
  second: number,
  { depths, gates, leader }: { depths: Depths; gates: GateView[] | null; leader?: string | null | undefined },
): string {
  const { dlq, ingest, processing, delivered, dead } = depths;
  const columns = [[second, 6], [dlq, 6], [ingest + processing, 8], [delivered, 11], [dead, 6]] as const;
  const numbers = columns.map(([value, width]) => String(value).padStart(width)).join("");
  if (leader === null) return `${numbers}  nobody leads`;
  return `${numbers}  ${leader === undefined ? "" : `${leader} leads: `}${formatGates(gates)}`;
}

function formatGates(gates: GateView[] | null): string {
  if (!gates) return "(no answer)";
  const closed = gates.filter(({ open }) => !open);
  if (closed.length === 0) return "open";
  // The pace opens and closes several times a second.
  if (closed.every(({ name }) => name === "pace")) return "open, as fast as the pace allows";
  return closed.map(({ name, reason }) => `${name} closed (${reason})`).join(", ");
}

/** A remark between the lines of the table. */
export function formatRemark(text: string): string {
  return `       -- ${text}`;
}

/** What the end rests on. */
export interface Ending {
  readonly account: Account;
  readonly found: Found;
  /** Messages that carried the secret, and log lines with and without it. */
  readonly secrets: { readonly messages: number; readonly logLines: number; readonly leaks: number };
}

/** The account and what follows from it. */
export function formatEnding({ account, found, secrets }: Ending): string {
  const { messages, logLines, leaks } = secrets;
  return [
    "",
    formatAccount(account),
    ...addsUp(account)
      ? ["Every payload is, byte for byte, what went in (stamps undone, envelopes opened)."]
      : ["THE ACCOUNT DOES NOT ADD UP:", ...formatDifferences(account).map((line) => `  ${line}`)],
    `${messages} messages carried an api_key: ${leaks} of ${logLines} log lines (at DEBUG) show it.`,
    ...formatSample(found),
  ].join("\n");
}

/** The stamps of one poison message, as an operator finds them in the dead list. */
function formatSample({ dead }: Found): string[] {
  const poison = dead.find((bytes) => reasonOf(bytes) === "poison");
  const stamps = poison && /"failed_at".*/s.exec(new TextDecoder().decode(poison));
  return stamps ? ["What is dead says why, e.g.:", `  {… ${stamps[0]}`] : [];
}

/** What to type next; `deno` is how Deno was started. */
export function formatNext(deno: string): string {
  return [
    "",
    "Next:",
    "  cp .env.template .env        then set REDIS_HOST and MOOG_WEBHOOK_URL in it",
    `  ${`${deno} task dev`.padEnd(28)} runs the service on them (without .env: on a Redis of its own)`,
  ].join("\n");
}
