/** What a job did, by the counts of the source's state. Pure. */
import type { RunningJob } from "../cycle/running_job.ts";
import type { JobResult, JobStatus } from "./job.ts";

/** Returns the result of a job that ends in this state. */
export function resultOf(
  { verb, planned, swept, picked, replayed, dead, returned }: RunningJob,
  status: JobStatus,
): JobResult {
  if (verb === "import") {
    return { swept: 0, picked: planned, replayed: 0, dead: 0, trashed: planned - swept, returned: 0, imported: swept };
  }
  // An undo of a purge picks nothing.
  const left = Math.max(0, picked - replayed - dead - returned);
  return {
    ...{ swept, picked, replayed, dead },
    trashed: status === "done" && (verb === "purge" || verb === "undo") ? left : 0,
    returned: returned + (status === "done" ? 0 : left),
  };
}

/** Describes a result in some words, for log and journal. */
export function describeResult({ swept, picked, replayed, dead, trashed, returned, imported }: JobResult): string {
  if (imported !== undefined) return `${imported} of ${picked} messages added to the DLQ`;
  const parts = [["replayed", replayed], ["to the dead list", dead], ["to the trash", trashed], ["put back", returned]];
  const moved = parts.filter(([, count]) => count !== 0).map(([text, count]) => `${count} ${text}`);
  return [...(swept > 0 ? [`${picked} of ${swept} messages picked`] : []), ...moved].join(", ") || "nothing was picked";
}
