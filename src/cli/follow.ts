/** Follows a job until it ends. */
import { SingleBar } from "cli-progress";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { EXIT } from "../runtime/exit.ts";
import { isErrTerminal, writeErr, writeOut } from "../runtime/process.ts";
import { errStream } from "../runtime/terminal.ts";
import type { ApiFlags } from "./api_commands.ts";
import { findOffer } from "./catalog.ts";
import type { ApiClient } from "./client.ts";
import type { CliContext } from "./context.ts";
import { describeJob, describeProgress, hasEnded, type Job } from "./job_views.ts";
import { lookUntil } from "./look_until.ts";
import { formatOf } from "./output.ts";

/** A job without progress for this long is held by a gate, or its consumer is slow, in milliseconds. */
const STILL_MS = 10_000;

/** Which job. */
export interface JobName {
  readonly id: string;
  readonly source: string;
}

/** Shows a job's progress until it ends. Ctrl-C ends only the view. Returns the exit code. */
export async function followJob(
  client: ApiClient,
  name: JobName,
  { flags, context: { signal } }: { flags: ApiFlags; context: CliContext },
): Promise<number> {
  const bar = isErrTerminal() ? createBar() : null, stillness = new Stillness();
  try {
    const code = await lookUntil(async () => {
      const job = await readJob(client, name);
      if (hasEnded(job)) {
        bar?.stop();
        writeOut(formatOf(flags) === "text" ? `${describeJob(job)}\n` : `${JSON.stringify(job)}\n`);
        return job.status === "done" ? EXIT.done : EXIT.failed;
      }
      const held = stillness.lastsFor(job) >= STILL_MS ? await describeHolds(client, name) : "";
      if (bar) bar.show(job, held);
      else if (stillness.isNew(held)) writeErr(held);
      return null;
    }, signal);
    if (code !== null) return code;
  } finally {
    bar?.stop();
  }
  writeErr(sayItGoesOn(name));
  return EXIT.interrupted;
}

/** How to follow, pause and stop a job that was left. */
export function sayItGoesOn({ id, source }: JobName): string {
  const commands = [["Follow it", "follow"], ["Pause it", "pause"], ["Cancel it", "cancel"]] as const;
  return `The job goes on.${
    commands.map(([what, word]) => `\n${what}: mutt-remediation jobs ${word} ${id} --source ${source}`).join("")
  }\n`;
}

async function readJob(client: ApiClient, name: JobName): Promise<Job> {
  const answer = await client.run(findOffer("jobs_show"), { ...name });
  const { job = answer } = answer as { job?: unknown };
  return job as Job;
}

/** Knows since when a job has not moved on, and what was said of it. */
class Stillness {
  #progress = "";
  #sinceMs = SYSTEM_CLOCK.monotonicMs();
  #told = "";

  /** Returns for how long the progress has been the same, in milliseconds. */
  lastsFor({ status, progress }: Job): number {
    const now = SYSTEM_CLOCK.monotonicMs();
    const { phase, swept, left } = progress ?? { phase: "", swept: 0, left: 0 };
    const shown = [status, phase, swept, left].join(" ");
    if (shown !== this.#progress) [this.#progress, this.#sinceMs] = [shown, now];
    return now - this.#sinceMs;
  }

  /** Whether there is something to say that was not the last thing said. */
  isNew(text: string): boolean {
    if (text === "" || text === this.#told) return false;
    this.#told = text;
    return true;
  }
}

/** Names the closed gates that may hold a job, a line each. */
async function describeHolds(client: ApiClient, { source }: JobName): Promise<string> {
  const { sources } = await client.run(findOffer("explain"), { source }) as {
    sources: readonly { gates: readonly { name: string; open: boolean; words: string }[] }[];
  };
  const closed = sources.flatMap(({ gates }) => gates).filter(({ name, open }) =>
    !open && name !== "job" && name !== "pause"
  );
  return closed.map(({ name, words }) => `waits for ${name}: ${words}\n`).join("");
}

/** A bar for each phase that can be counted. */
function createBar(): { show(job: Job, held: string): void; stop(): void } {
  let bar: SingleBar | null = null, phase = "";
  const stop = () => {
    bar?.stop();
    bar = null;
  };
  return {
    stop,
    show({ status, progress }, held) {
      if (!progress) return;
      const isSweep = progress.phase === "sweep";
      const total = isSweep ? progress.swept + progress.toSweep : progress.picked;
      const value = isSweep ? progress.swept : progress.picked - progress.left;
      const words = `${status === "paused" ? "paused; " : ""}${describeProgress(progress)}${
        held === "" ? "" : `; ${held.trim().replaceAll("\n", "; ")}`
      }`;
      if (progress.phase !== phase) stop();
      phase = progress.phase;
      if (bar) {
        bar.setTotal(total);
        bar.update(value, { words });
        return;
      }
      bar = new SingleBar({
        ...{ format: "{bar} {percentage} %  {words}", barCompleteChar: "█", barIncompleteChar: "░", barsize: 24 },
        ...{ stream: errStream(), gracefulExit: false, clearOnComplete: true, hideCursor: true, noTTYOutput: false },
      });
      bar.start(total, value, { words });
    },
  };
}
