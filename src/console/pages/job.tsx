/** One job on one page: its plan, the confirmation, how far it is, what it did, and its undo. */
import { explain } from "../../operations/explain.ts";
import { roleFor } from "../../operations/found_job.ts";
import { JOB_GATES } from "../../operations/job_plan.ts";
import { jobsShow } from "../../operations/jobs_show.ts";
import { journal } from "../../operations/journal.ts";
import { plural, span } from "../format.ts";
import { Act, mayDo, Opener, ReasonField, Sheet } from "../forms.tsx";
import { describeProgress, EntryList, JOB_MOODS, JobActions, jobPath } from "../lists.tsx";
import { type ClosedGate, isOverridable, Overrides } from "../message_parts.tsx";
import { viewPath } from "../messages_view.ts";
import type { Html, Page, PageVisit } from "../page.ts";
import { Chip, Foreign, gatesOf, type Station, Stations, Time } from "../parts.tsx";
import { PlanContents, PlanFacts, PlanTarget, type ShownPlan } from "../plan.tsx";
import type { Explained, JournalEntry, ShownJob } from "../readings.ts";
import { JOB_NAMES, VERBS } from "../verbs.ts";

/** Entries of the journal. */
const MOST_ENTRIES = 20;

/** The page of a job. */
export const job: Page = {
  path: "/sources/{source}/jobs/{id}",
  section: "/jobs",
  isLive: true,
  title: () => "Job",
  async render(visit) {
    const { reader, params, role, live } = visit, { source = "", id = "" } = params;
    const { job, plan } = await reader.read(jobsShow, { source, id });
    const [{ sources: [explained] }, { entries }] = await Promise.all([
      reader.read(explain, { source }),
      reader.read(journal, { job: id, limit: MOST_ENTRIES }),
    ]);
    return (
      <div class="stack job-page">
        {live(
          "job",
          <State job={job} plan={plan} entries={entries} explained={explained!} nowMs={visit.nowMs} /> as Html,
        )}
        {live("job-acts", <Actions job={job} visit={visit} /> as Html)}
        {plan && <PlanContents job={job} plan={plan} />}
        {live("job-journal", <Journal entries={entries} /> as Html)}
        <Sheets job={job} plan={plan} role={role} />
      </div>
    ) as Html;
  },
};

/** Title, what it is about, and how far it is. */
function State({ job, plan, entries, explained, nowMs }: {
  job: ShownJob;
  plan: ShownPlan | null;
  entries: readonly JournalEntry[];
  explained: Explained;
  nowMs: number;
}): Html {
  const { verb, status, planned, endedAt, expiresAt, undoes } = job;
  return (
    <section class="card job-state">
      <header>
        <h2>{JOB_NAMES[verb]} {plural(planned, "message")}</h2>
        <Chip mood={JOB_MOODS[status]}>{job.progress?.isCancelled ? "cancelling" : status}</Chip>
        <span class="k">
          <code>{job.id}</code>
        </span>
      </header>
      <div class="pad">
        <p>
          <PlanTarget job={job} plan={plan} />
        </p>
        <History job={job} />
        {verb === "edit" && <Edited job={job} entries={entries} />}
        {undoes && (
          <p class="k">
            It undoes the job <a href={jobPath({ source: job.source, id: undoes.id })}>{JOB_NAMES[undoes.verb]}</a>.
          </p>
        )}
        {job.progress && <Progress job={job} />}
        {endedAt !== null && verb !== "edit" && <p class="outcome">{describeProgress(job)}</p>}
        {status === "planned" && plan && <PlanFacts job={job} plan={plan} />}
        {status === "planned" && expiresAt && (
          <p class="k">
            Nothing has moved yet. The plan expires in {span(Date.parse(expiresAt) - nowMs)}.
          </p>
        )}
      </div>
      {job.progress?.phase === "act" && isDrain(job) && (
        <Stations of={stationsOfJob(job, explained)} name={job.source} nowMs={nowMs} />
      )}
    </section>
  ) as Html;
}

/** Who did what with it, when and why. */
function History({ job: { verb, plannedBy, startedBy, createdAt, startedAt, endedAt, reason } }: {
  job: ShownJob;
}): Html {
  return (
    <p class="k">
      <Foreign text={plannedBy} /> {verb === "edit" ? "did" : "planned"} it at <Time at={createdAt} as="minute" />
      {reason !== "" && (
        <>
          {": "}
          <Foreign text={reason} />
        </>
      )}
      {startedAt && startedBy && verb !== "edit" && (
        <>
          . <Foreign text={startedBy} /> confirmed it at <Time at={startedAt} as="minute" />
        </>
      )}
      {endedAt && verb !== "edit" && (
        <>
          . It ended at <Time at={endedAt} as="minute" />
          {startedAt && `, after ${span(Date.parse(endedAt) - Date.parse(startedAt))}`}
        </>
      )}
      .
    </p>
  ) as Html;
}

/** The message before and after an edit, as the journal has them. */
function Edited({ job: { source, list }, entries }: {
  job: ShownJob;
  entries: readonly JournalEntry[];
}): Html | null {
  const [before, after] =
    entries.map(({ members: { messages } }) => messages).find((ids): ids is [string, string] =>
      Array.isArray(ids) && ids.length === 2
    ) ?? [];
  if (before === undefined || after === undefined) return null;
  return (
    <p class="outcome">
      <code>{before}</code> is now{" "}
      <a href={viewPath({ source, list, message: after })}>
        <code>{after}</code>
      </a>
    </p>
  ) as Html;
}

/** The gates on the way of the job's messages. */
function stationsOfJob({ overrides }: ShownJob, explained: Explained): readonly Station[] {
  return gatesOf(explained).filter(({ name }) => JOB_GATES.includes(name)).map((gate) =>
    overrides.some(({ gate: name }) => name === gate.name)
      ? { ...gate, open: true, words: "overridden for this job" }
      : gate
  );
}

/** Whether its messages go to the consumer, through the gates. */
function isDrain({ verb }: ShownJob): boolean {
  return verb === "redrive" || verb === "revive";
}

const PHASES = [
  ["sweep", "Find them"],
  ["restore", "Put the others back"],
  ["act", ""],
] as const;

/** The phases, and the bar of the one that is under way. */
function Progress({ job }: { job: ShownJob }): Html {
  const progress = job.progress!, { phase, swept, toSweep, picked, left } = progress;
  const at = PHASES.findIndex(([name]) => name === phase);
  const [value, max] = phase === "sweep" ? [swept, swept + toSweep] : [Math.max(0, picked - left), picked];
  return (
    <div class="progress">
      {phase === "back" ? <p>Cancelled: what is left goes back to where it came from.</p> : (
        <ol class="phases">
          {PHASES.map(([name, words], i) => (
            <li class={i < at ? "done" : i === at ? "on" : ""} aria-current={i === at ? "step" : undefined}>
              {name === "act" ? JOB_NAMES[job.verb] : words}
            </li>
          ))}
        </ol>
      )}
      <progress max={Math.max(1, max)} value={value} aria-label="Progress of the job" />
      <p>{progress.isPaused ? "Paused. " : ""}{describeProgress(job)}</p>
    </div>
  ) as Html;
}

/** What can be done with the job now. No text is typed here, so it may be kept up to date. */
function Actions({ job, visit: { role } }: { job: ShownJob; visit: PageVisit }): Html {
  const { source, list, query, ids, status, verb } = job, next = jobPath(job);
  const mayConfirm = mayDo(role, roleFor(job)), again = VERBS.find((one) => one.verb === verb);
  const look = viewPath({ source, list, query });
  if (status === "planned") {
    return (
      <div class="acts decide">
        {mayConfirm
          ? (
            <Act operation="jobs_confirm" fields={{ source, id: job.id }} next={next}>
              <button class={`btn ${verb === "purge" ? "danger" : "go"}`} type="submit" data-confirm>
                {JOB_NAMES[verb]} {plural(job.planned, "message")}
              </button>
            </Act>
          )
          : <p class="k">Confirming it needs the role {roleFor(job)}.</p>}
        {again && ids === null && mayDo(role, again.role) && <Opener sheet="again">Plan again…</Opener>}
        {again && ids !== null && <a class="btn" href={look}>Choose again</a>}
        <a class="btn" href={look}>Leave it</a>
      </div>
    ) as Html;
  }
  const canUndo = job.endedAt !== null && !isDrain(job) && verb !== "undo" && mayDo(role, roleFor(job));
  return (
    <div class="acts decide">
      <JobActions job={job} role={role} next={next} />
      {canUndo && <Opener sheet="undo">Undo…</Opener>}
      {job.endedAt !== null && <a class="btn" href={viewPath({ source, list })}>Messages of {source}</a>}
      <a class="btn" href="/jobs">All jobs</a>
    </div>
  ) as Html;
}

function Journal({ entries }: { entries: readonly JournalEntry[] }): Html {
  return (
    <section class="card">
      <header>
        <h2>Journal</h2>
        <a href="/journal">all entries</a>
      </header>
      <EntryList entries={entries} />
    </section>
  ) as Html;
}

/** What asks for text: outside the live parts. */
function Sheets({ job, plan, role }: { job: ShownJob; plan: ShownPlan | null; role: PageVisit["role"] }): Html | null {
  const { source, id, query, verb, list, ids, reason } = job, again = VERBS.find((one) => one.verb === verb);
  const held: readonly ClosedGate[] = plan && mayDo(role, "admin") && isDrain(job)
    ? plan.heldBy.filter(({ gate }) => isOverridable(gate))
    : [];
  const fields = { source, ...(query === "" ? {} : { query }), ...(verb === "purge" ? { list } : {}) };
  return (
    <>
      {again && ids === null && mayDo(role, again.role) && (
        <Sheet id="again" title={`Plan again: ${again.name.toLowerCase()} what matches now`}>
          <p>Every message is counted again. This plan stays until it expires; only a confirmed plan runs.</p>
          <Act operation={verb} kind="sheet" fields={fields}>
            <ReasonField placeholder={again.reason} value={reason} autofocus />
            <Overrides closed={held} />
            <button class="btn go" type="submit">Show the new plan</button>
            <p class="wait k">Checks every message of the list; a million takes a few seconds.</p>
          </Act>
        </Sheet>
      )}
      {!isDrain(job) && verb !== "undo" && mayDo(role, roleFor(job)) && (
        <Sheet id="undo" title={`Undo: bring back what this job took`}>
          <p>The plan of the undo says what comes back, and what cannot. Nothing moves before you confirm it.</p>
          <Act operation="jobs_undo" kind="sheet" fields={{ source, id }}>
            <ReasonField placeholder="wrong group" autofocus />
            <button class="btn go" type="submit">Show the plan</button>
          </Act>
        </Sheet>
      )}
    </>
  ) as Html;
}
