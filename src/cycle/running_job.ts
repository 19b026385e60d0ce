/** The running job of a source, as its state in Redis holds it. Pure. */

/** Every verb of a job. Closed set. */
export const JOB_VERBS = ["redrive", "bury", "revive", "purge", "edit", "import", "undo"] as const;
/** One of {@link JOB_VERBS}. */
export type JobVerb = (typeof JOB_VERBS)[number];

/**
 * The phases of a running job.
 *
 * - `sweep`: messages leave the list from its oldest end, the picked ones to the job's own list, the others to the shelf.
 * - `restore`: the shelf goes back to the oldest end of the list.
 * - `act`: the verb works off the job's own list.
 * - `back`: the job was cancelled, and its own list goes back to the oldest end of the list; of an import, it is dropped.
 */
export const JOB_PHASES = ["sweep", "restore", "act", "back"] as const;
/** One of {@link JOB_PHASES}. */
export type JobPhase = (typeof JOB_PHASES)[number];

/** Lists of a source that a job can take messages from. */
export const JOB_LISTS = ["dlq", "dead"] as const;
/** One of {@link JOB_LISTS}. */
export type JobList = (typeof JOB_LISTS)[number];

/** A running or paused job. */
export interface RunningJob {
  readonly id: string;
  readonly verb: JobVerb;
  /** Name of the operator who confirmed it. */
  readonly by: string;
  /** Messages that its plan picked. */
  readonly planned: number;
  readonly list: JobList;
  /** Names of the gates that an admin overrides for it, in words; empty: none. */
  readonly overrides: string;
  readonly phase: JobPhase;
  /** Whether the state names a phase that this program knows. If not, another client has written it, and no move fits it. */
  readonly isPhaseKnown: boolean;
  readonly isPaused: boolean;
  readonly isCancelled: boolean;
  /** Messages that the sweep has still to pass; 0: it is over. */
  readonly left: number;
  /** Messages that the sweep has passed, and those of them that it picked; of an import, those added to the DLQ, and 0. */
  readonly swept: number;
  readonly picked: number;
  /** Messages of the job's own list that were moved to the target and to the dead list. */
  readonly replayed: number;
  readonly dead: number;
  /** Messages that an undo has put back. */
  readonly returned: number;
}

/** The fields that the scripts change while a job runs. */
export const JOB_PROGRESS_FIELDS = [
  ...["job", "jobPhase", "jobPaused", "jobCancelled", "jobLeft", "jobSwept", "jobPicked", "jobReplayed", "jobDead"],
  "jobReturned",
];
/** All fields of a job: those of {@link JOB_PROGRESS_FIELDS}, and those that its start writes. */
export const JOB_FIELDS = [...JOB_PROGRESS_FIELDS, "jobVerb", "jobBy", "jobPlanned", "jobList", "jobOverrides"];

/** Parses the fields. `whole` reads a whole number. `null`: no job runs. A phase or verb that is not known reads as cancelled. */
export function parseRunningJob(text: (name: string) => string, whole: (name: string) => number): RunningJob | null {
  const id = text("job");
  if (id === "") return null;
  const verb = JOB_VERBS.find((one) => one === text("jobVerb"));
  const phase = JOB_PHASES.find((one) => one === text("jobPhase"));
  return {
    id,
    verb: verb ?? "undo",
    by: text("jobBy"),
    planned: whole("jobPlanned"),
    list: text("jobList") === "dead" ? "dead" : "dlq",
    overrides: text("jobOverrides"),
    ...{ phase: phase ?? "restore", isPhaseKnown: phase !== undefined },
    isPaused: text("jobPaused") === "1",
    isCancelled: text("jobCancelled") === "1" || verb === undefined || phase === undefined,
    left: whole("jobLeft"),
    swept: whole("jobSwept"),
    picked: whole("jobPicked"),
    replayed: whole("jobReplayed"),
    dead: whole("jobDead"),
    returned: whole("jobReturned"),
  };
}

/** The fields that a commit writes to add its moves to the job's. */
export function jobFields(
  job: RunningJob,
  { replayed, dead }: Pick<RunningJob, "replayed" | "dead">,
): Readonly<Record<string, string>> {
  return { jobReplayed: String(job.replayed + replayed), jobDead: String(job.dead + dead) };
}
