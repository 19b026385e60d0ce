/** Groups, jobs and entries of the journal as lists. Pure. */
import { LIST_WORDS } from "../message/source_policy.ts";
import type { Role } from "../config/api_keys.ts";
import { Bar, Spark } from "./charts.tsx";
import { count, plural, rate, span } from "./format.ts";
import { Act, mayDo } from "./forms.tsx";
import type { Html } from "./page.ts";
import { Chip, Empty, Foreign, Masked, type Mood, ReasonChip, Time } from "./parts.tsx";
import type { FoundGroup, JournalEntry, ShownJob } from "./readings.ts";
import { JOB_NAMES } from "./verbs.ts";

/** Address of the messages that a group holds. */
export function groupPath({ source, list, group }: Pick<FoundGroup, "source" | "list" | "group">): string {
  return `/messages?${new URLSearchParams({ source, list, query: `group:${group}` })}`;
}

/** Groups, the largest first. */
export function GroupList(
  { groups, selected = null }: { groups: readonly FoundGroup[]; selected?: string | null },
): Html {
  const most = Math.max(1, ...groups.map((group) => group.count));
  const isOfSeveral = groups.some(({ source }) => source !== groups[0]!.source);
  return (
    <ol class="groups">
      {groups.map((group) => (
        <li class={group.group === selected ? "on" : ""}>
          <a href={groupPath(group)} aria-current={group.group === selected ? "true" : undefined} data-row>
            <span class="n">{count(group.count)}</span>
            <Masked text={group.text || "(no text)"} />
            <span class="tags">
              {isOfSeveral && <span class="k">{group.source}</span>}
              {group.reason !== null && <ReasonChip reason={group.reason} />}
            </span>
            <Spark points={group.trend} />
            <Bar share={group.count / most} />
          </a>
        </li>
      ))}
    </ol>
  ) as Html;
}

/** Where a job is. */
export function jobPath({ source, id }: Pick<ShownJob, "source" | "id">): string {
  return `/sources/${encodeURIComponent(source)}/jobs/${encodeURIComponent(id)}`;
}

/** The colour of a status. */
export const JOB_MOODS: Readonly<Record<ShownJob["status"], Mood>> = {
  ...{ planned: "warn", running: "good", paused: "warn", done: "mute", cancelled: "mute", failed: "bad" },
};

/** What a job works on, in words. */
export function describeTarget({ source, list, query, ids }: ShownJob): string {
  const what = ids === null ? (query === "" ? "all messages" : query) : plural(ids, "chosen message");
  return `${what} in the ${LIST_WORDS[list]} of ${source}`;
}

/** What became of messages, by member of a job's result. */
const RESULT_WORDS: Readonly<Record<string, string>> = {
  ...{ dead: "dead-lettered", returned: "put back" },
};
const TRASHED_WORDS: Readonly<Partial<Record<ShownJob["verb"], string>>> = { purge: "purged", edit: "replaced" };

/** How far a job is, in words. */
export function describeProgress({ verb, status, planned, progress, result }: ShownJob): string {
  if (status === "planned") return `${plural(planned, "message")} planned, waits for confirmation`;
  if (progress) {
    const isSweep = progress.phase === "sweep", done = isSweep ? progress.swept : planned - progress.left;
    const words = isSweep
      ? `looking: ${count(done)} looked at, ${count(progress.picked)} of ${count(planned)} found`
      : progress.phase === "restore"
      ? `putting back what was not picked; ${count(progress.picked)} found`
      : `${count(Math.max(0, done))} of ${count(planned)}`;
    const speed = progress.perSecond === null ? "" : ` · ${rate(progress.perSecond)}`;
    return `${words}${speed}${progress.secondsLeft === null ? "" : ` · ${span(progress.secondsLeft * 1_000)} left`}`;
  }
  if (!result) return plural(planned, "message");
  const parts = Object.entries(result).filter(([name, value]) => value > 0 && name !== "swept" && name !== "picked");
  const nameOf = (name: string) => name === "trashed" ? TRASHED_WORDS[verb] ?? "removed" : RESULT_WORDS[name] ?? name;
  const words = parts.map(([name, value]) => `${count(value)} ${nameOf(name)}`);
  return words.length === 0 ? "nothing was moved" : words.join(", ");
}

/** Jobs, with what can be done with each. */
export function JobList({ jobs, role, next }: { jobs: readonly ShownJob[]; role: Role; next: string }): Html {
  if (jobs.length === 0) {
    return <Empty>No jobs. A job begins with a plan: choose messages, then replay, bury or purge them.</Empty> as Html;
  }
  return <ol class="jobs">{jobs.map((job) => <JobRow job={job} role={role} next={next} />)}</ol> as Html;
}

function JobRow({ job, role, next }: { job: ShownJob; role: Role; next: string }): Html {
  const { progress, planned, status, verb, plannedBy, createdAt } = job;
  const done = progress ? (progress.phase === "sweep" ? progress.picked : planned - progress.left) : 0;
  return (
    <li class="job">
      <div>
        <a href={jobPath(job)} data-row>
          <b>{JOB_NAMES[verb]}</b>
        </a>{" "}
        <Foreign text={describeTarget(job)} /> <Chip mood={JOB_MOODS[status]}>{status}</Chip>
        <span class="k">
          · <Foreign text={plannedBy} />, <Time at={createdAt} as="minute" />
        </span>
      </div>
      <div class="prog">
        {progress && (
          <progress max={Math.max(1, planned)} value={Math.max(0, done)} aria-label={`Progress of job ${job.id}`} />
        )}
        <span>{describeProgress(job)}</span>
        <JobActions job={job} role={role} next={next} />
      </div>
    </li>
  ) as Html;
}

/** What can be done with a job now. */
export function JobActions({ job, role, next }: { job: ShownJob; role: Role; next: string }): Html | null {
  const fields = { source: job.source, id: job.id };
  if (job.status === "planned") return <a class="btn go" href={jobPath(job)}>Review plan</a> as Html;
  if (!mayDo(role, "operator") || !job.progress || job.progress.isCancelled) return null;
  const other = job.progress.isPaused ? ["jobs_resume", "Resume"] : ["jobs_pause", "Pause"];
  return (
    <>
      <Act operation={other[0]!} fields={fields} next={next}>
        <button class="btn" type="submit">{other[1]}</button>
      </Act>
      <Act operation="jobs_cancel" fields={fields} next={next}>
        <button class="btn" type="submit">Cancel</button>
      </Act>
    </>
  ) as Html;
}

/** Entries of the journal. */
export function EntryList({ entries }: { entries: readonly JournalEntry[] }): Html {
  if (entries.length === 0) {
    return <Empty>No entries yet. Everything that moves, acts or goes wrong is written here.</Empty> as Html;
  }
  return (
    <ol class="journal">
      {entries.map(({ at, kind, text, source, members }) => (
        <li>
          <Time at={at} as="clock" />
          <span class={`kind ${kind}`}>{kind}</span>
          <span>
            <Foreign text={text} />
          </span>
          <span class="k">
            <Foreign text={String(source ?? members.actor ?? "")} />
          </span>
        </li>
      ))}
    </ol>
  ) as Html;
}
