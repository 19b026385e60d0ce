/** `mutt-remediation top`: a live view of sources, gates, rates and jobs. */
import type { ExplainOutput } from "../operations/explain.ts";
import type { Status } from "../operations/status.ts";
import { describeDuration } from "../lifecycle/outage_log.ts";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { EXIT } from "../runtime/exit.ts";
import { writeOut } from "../runtime/process.ts";
import { isOutTerminal, onKeys, terminalSize } from "../runtime/terminal.ts";
import { findOffer, OFFERS } from "./catalog.ts";
import { type ApiClient, ApiError } from "./client.ts";
import type { CliContext } from "./context.ts";
import { describeJob, hasEnded, type Job } from "./job_views.ts";
import { cutLine, formatNumber, formatTable, paint, textOf } from "./table.ts";

/** Time between two looks, in milliseconds. */
const LOOK_MS = 1_000;
/** Time over which the rate is measured, in milliseconds. */
const RATE_MS = 60_000;

/** Alternate screen, cursor hidden; and back. */
const ENTER = "\x1b[?1049h\x1b[?25l", LEAVE = "\x1b[?25h\x1b[?1049l";
/** A terminal that knows these shows the frame at once. */
const BEGIN = "\x1b[?2026h\x1b[H", END = "\x1b[J\x1b[?2026l";

interface Depth {
  readonly atMs: number;
  readonly depth: number;
}

/** Shows the view until Ctrl-C or q. Returns the exit code. */
export async function runTop(client: ApiClient, { signal }: CliContext): Promise<number> {
  if (!isOutTerminal()) {
    throw new ApiError("top needs a terminal: use status --watch, or status --watch --ndjson", {
      exitCode: EXIT.usage,
    });
  }
  const over = new AbortController(), ended = AbortSignal.any([signal, over.signal]);
  const history = new Map<string, Depth[]>();
  writeOut(ENTER);
  const keys = onKeys((text) => text.includes("q") && over.abort(), ended);
  try {
    while (!ended.aborted) {
      draw(await compose(client, history).catch((error) => explainFailure(error, ended)));
      await SYSTEM_CLOCK.sleep(LOOK_MS, ended);
    }
  } finally {
    over.abort();
    await keys;
    writeOut(LEAVE);
  }
  return EXIT.done;
}

/** Only what may pass is shown; the rest ends the view. */
function explainFailure(error: unknown, { aborted }: AbortSignal): string {
  if (aborted) return "";
  if (error instanceof ApiError && error.exitCode === EXIT.unavailable) return `${paint("red", error.message)}\n`;
  throw error;
}

function draw(text: string): void {
  const { rows, columns } = terminalSize();
  // A line that wraps would move the frame.
  const lines = text.trimEnd().split("\n").slice(0, rows - 1).map((line) => cutLine(line, columns));
  writeOut(`${BEGIN}${lines.map((line) => `${line}\x1b[K`).join("\r\n")}\r\n${END}`);
}

async function compose(client: ApiClient, history: Map<string, Depth[]>): Promise<string> {
  const [status, explained, jobs] = await Promise.all([
    client.run(findOffer("status"), {}) as Promise<Status>,
    client.run(findOffer("explain"), {}) as Promise<ExplainOutput>,
    readJobs(client),
  ]);
  const rows = explained.sources.map((source) => {
    const closed = source.gates.filter(({ open }) => !open).map(({ name }) => name);
    const rate = source.depth === null ? null : rateOf(history, { name: source.source, depth: source.depth });
    const { seconds } = source.estimate;
    return [
      source.source,
      source.depth === null ? null : formatNumber(source.depth),
      rate === null ? null : `${rate > 0 ? "+" : ""}${rate.toFixed(1)}/s`,
      seconds === null ? null : describeDuration(seconds * 1_000),
      closed.join(" ") || "none",
      source.sentence,
    ];
  });
  const head = status.status === "healthy" ? paint("green", "healthy") : paint("red", "unhealthy");
  const running = jobs.filter((job) => !hasEnded(job) && job.status !== "planned");
  return [
    `${textOf(status.pod)} ${textOf(status.version)}: ${head}; Redis ${status.redis}, replay ${status.replay}    ${
      paint("dim", "q: quit")
    }\n`,
    formatTable(["source", "depth", "change", "empty in", "closed gates", "what it does"], rows),
    ...(running.length === 0 ? [] : ["\n", ...running.map((job) => `${describeJob(job)}\n`)]),
  ].join("\n").replaceAll("\n\n\n", "\n\n");
}

/** None if the service cannot have jobs. */
async function readJobs(client: ApiClient): Promise<readonly Job[]> {
  if (!OFFERS.some(({ name }) => name === "jobs")) return [];
  return (await client.run(findOffer("jobs"), {}) as { jobs: readonly Job[] }).jobs;
}

/** Messages per second by which the DLQ grew; `null` at the first look. */
function rateOf(history: Map<string, Depth[]>, { name, depth }: { name: string; depth: number }): number | null {
  const atMs = SYSTEM_CLOCK.monotonicMs();
  const seen = (history.get(name) ?? []).filter((one) => atMs - one.atMs <= RATE_MS);
  history.set(name, [...seen, { atMs, depth }]);
  const [first] = seen;
  return first ? (depth - first.depth) / (atMs - first.atMs) * 1_000 : null;
}
