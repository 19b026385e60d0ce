/** Follows a job until it ends. */
import { SingleBar } from "cli-progress";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { EXIT } from "../runtime/exit.ts";
import { isErrTerminal, writeErr, writeOut } from "../runtime/process.ts";
import { errStream } from "../runtime/terminal.ts";
import type { ApiFlags } from "./api_commands.ts";
import { findOffer } from "./catalog.ts";
import { type ApiClient, ApiError } from "./client.ts";
import type { CliContext } from "./context.ts";
import { describeJob, describeProgress, hasEnded, type Job } from "./job_views.ts";
import { formatOf } from "./output.ts";

/** Time between two looks, in milliseconds. */
const LOOK_MS = 1_000;
/** How long a service that does not answer is asked again, in milliseconds: it may restart. */
const PATIENCE_MS = 60_000;

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
  const bar = isErrTerminal() ? createBar() : null;
  let lostAtMs: number | null = null;
  try {
    while (!signal.aborted) {
      try {
        const job = await readJob(client, name);
        lostAtMs = null;
        if (hasEnded(job)) {
          bar?.stop();
          writeOut(formatOf(flags) === "text" ? `${describeJob(job)}\n` : `${JSON.stringify(job)}\n`);
          return job.status === "done" ? EXIT.done : EXIT.failed;
        }
        bar?.show(job);
      } catch (error) {
        if (signal.aborted) break;
        if (!(error instanceof ApiError) || error.exitCode !== EXIT.unavailable) throw error;
        lostAtMs ??= SYSTEM_CLOCK.monotonicMs();
        if (SYSTEM_CLOCK.monotonicMs() - lostAtMs > PATIENCE_MS) throw error;
      }
      await SYSTEM_CLOCK.sleep(LOOK_MS, signal);
    }
  } finally {
    bar?.stop();
  }
  writeErr(sayItGoesOn(name));
  return EXIT.interrupted;
}

/** How to follow, pause and stop a job that was left. */
export function sayItGoesOn({ id, source }: JobName): string {
  const commands = [["Follow it", "follow"], ["pause it", "pause"], ["cancel it", "cancel"]] as const;
  return `The job goes on. ${
    commands.map(([what, word]) => `${what}: mutt-remediation jobs ${word} ${id} --source ${source}`).join("\n")
  }\n`;
}

async function readJob(client: ApiClient, name: JobName): Promise<Job> {
  const answer = await client.run(findOffer("jobs_show"), { ...name });
  const { job = answer } = answer as { job?: unknown };
  return job as Job;
}

/** A bar for each phase that can be counted. */
function createBar(): { show(job: Job): void; stop(): void } {
  let bar: SingleBar | null = null, phase = "";
  const stop = () => {
    bar?.stop();
    bar = null;
  };
  return {
    stop,
    show({ status, progress }) {
      if (!progress) return;
      const isSweep = progress.phase === "sweep";
      const total = isSweep ? progress.swept + progress.toSweep : progress.picked;
      const value = isSweep ? progress.swept : progress.picked - progress.left;
      const words = `${status === "paused" ? "paused; " : ""}${describeProgress(progress)}`;
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
