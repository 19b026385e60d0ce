/** One job on one page: its plan, the confirmation, how far it is, what it did, and its undo. */
import { explain } from "../../operations/explain.ts";
import { roleFor } from "../../operations/found_job.ts";
import { jobsShow } from "../../operations/jobs_show.ts";
import { journal } from "../../operations/journal.ts";
import { count, plural, span } from "../format.ts";
import { Act, mayDo, Opener, ReasonField, Sheet } from "../forms.tsx";
import { describeProgress, describeTarget, EntryList, JOB_MOODS, JobActions, jobPath } from "../lists.tsx";
import { type ClosedGate, isOverridable, Overrides } from "../message_parts.tsx";
import { viewPath } from "../messages_view.ts";
import type { Html, Page, PageVisit } from "../page.ts";
import { Chip, Foreign, Stations, stationsOf, Time } from "../parts.tsx";
import { PlanContents, PlanFacts, type ShownPlan } from "../plan.tsx";
import type { Explained, ShownJob } from "../readings.ts";
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
        {live("job", <State job={job} plan={plan} explained={explained!} nowMs={visit.nowMs} /> as Html)}
        {live("job-acts", <Actions job={job} plan={plan} visit={visit} /> as Html)}
        {plan && <PlanContents job={job} plan={plan} />}
        {live("job-journal", <Journal entries={entries} /> as Html)}
        <Sheets job={job} plan={plan} role={role} />
      </div>
    ) as Html;
  },
};

/** Title, what it is about, and how far it is. */
function State({ job, plan, explained, nowMs }: {
  job: ShownJob;
  plan: ShownPlan | null;
  explained: Explained;
  nowMs: number;
}): Html {
  const { verb, status, planned, plannedBy, startedBy, createdAt, startedAt, endedAt, expiresAt, reason, undoes } = job;
  const isOver = endedAt !== null;
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
          <Foreign text={describeTarget(job)} />
        </p>
        <p class="k">
          <Foreign text={plannedBy} /> planned it at <Time at={createdAt} as="minute" />
          {reason !== "" && (
            <>
              {": "}
              <Foreign text={reason} />
            </>
          )}
          {startedAt && startedBy && (
            <>
              . <Foreign text={startedBy} /> confirmed it at <Time at={startedAt} as="minute" />
            </>
          )}
          {endedAt && (
            <>
              . It ended at <Time at={endedAt} as="minute" />
              {startedAt && `, after ${span(Date.parse(endedAt) - Date.parse(startedAt))}`}
            </>
          )}
          .
        </p>
        {undoes && (
          <p class="k">
            It undoes the job <a href={jobPath({ source: job.source, id: undoes.id })}>{JOB_NAMES[undoes.verb]}</a>.
          </p>
        )}
        {job.progress && <Progress job={job} />}
        {isOver && (
          <p class="outcome">
            {describeProgress(job)}
          </p>
        )}
        {status === "planned" && plan && <PlanFacts job={job} plan={plan} />}
        {status === "planned" && expiresAt && (
          <p class="k">
            Nothing has moved yet. The plan expires in {span(Date.parse(expiresAt) - nowMs)}.
          </p>
        )}
      </div>
      {job.progress?.phase === "act" && isDrain(job) && (
        <Stations of={stationsOf(explained, { folds: true })} name={job.source} nowMs={nowMs} />
      )}
    </section>
  ) as Html;
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
function Actions({ job, plan, visit: { role } }: { job: ShownJob; plan: ShownPlan | null; visit: PageVisit }): Html {
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
        {(again === undefined || ids !== null || plan === null) && <a class="btn" href={look}>Choose again</a>}
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

function Journal({ entries }: { entries: Parameters<typeof EntryList>[0]["entries"] }): Html {
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
            <p class="wait k">Every message of the list is looked at; a million takes some seconds.</p>
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
