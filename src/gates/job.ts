/** Gate `job`: automatic replay waits while a job of an operator works on the source. */
import type { RunningJob } from "../cycle/running_job.ts";
import type { Gate } from "./gate.ts";

/** How often the gate is asked again, in milliseconds. */
const RETRY_MS = 1_000;

/** Creates the gate. `job` returns the source's job by the last read; `null`: none. */
export function createJobGate(job: () => RunningJob | null): Gate<"job"> {
  return {
    name: "job",
    ask() {
      const running = job();
      if (running === null) return { open: true, reason: "none", detail: "no job runs" };
      const { by, verb, planned, isPaused, isCancelled, overrides } = running;
      const state = isPaused ? "paused" : isCancelled ? "being cancelled" : "running";
      const count = `${planned.toLocaleString("en")} ${planned === 1 ? "message" : "messages"}`;
      const without = overrides === "" ? "" : `, and overrides ${overrides}`;
      const detail = `a job of ${by} (${verb}, ${count}) is ${state}${without}`;
      return { open: false, reason: isPaused ? "paused" : "running", detail, retryInMs: RETRY_MS };
    },
  };
}
